"""A guard on the bench: its images pushed, judged in torch, and judged again as it is served."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from models.guard import Run
from training.attacks.goals import to_wrong_and_accepted
from training.attacks.gradient import frozen
from training.data import ImageSet, to_pixels
from training.evidence import FalseAccept
from training.graph import Scored
from training.measuring.climb import climbed, until_broken
from training.measuring.found import Answers, Found, joined_answers
from training.measuring.judged import Judged, values
from training.measuring.whole_pixels import whole_pixels
from training.suite import Suite

BATCH = 250
WORST = 4  # false accepts kept of each set and budget

Advance = Callable[[int], None]
"""Hears how many gradient steps of one image were made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A classifier, one of its scores, and the suite that it goes through.

    `serve` runs the graph as it is served. Images go through in batches, each through all budgets,
    so that memory does not grow with their number.
    """

    classifier: Scored
    judged: Judged
    suite: Suite
    serve: Run
    classes: tuple[str, ...]
    advance: Advance

    def inliers(self, images: ImageSet) -> tuple[Found, ...]:
        """Push in-distribution images towards rejection; one result a budget, the clean first."""
        return self._through(images, outliers=False)

    def outliers(self, images: ImageSet) -> tuple[Found, ...]:
        """Push outliers towards acceptance; one result a budget, the clean first."""
        return self._through(images, outliers=True)

    def end_to_end(self, images: ImageSet) -> tuple[Found, ...]:
        """Push in-distribution images to a wrong class that is accepted; a result a budget > 0."""
        generator = self._generator()
        ascent, budgets = self.suite.ascent, self.suite.budgets_255

        def rounds() -> Iterator[list[Found]]:
            for part, pixels, labels in _batches(images):
                goal = to_wrong_and_accepted(
                    self.classifier, self.judged.name, labels, threshold=self.judged.threshold
                )[0]
                pushed = until_broken(ascent.end_to_end, goal, pixels, budgets, generator)
                yield self._rounds(part, pushed, steps=ascent.end_to_end, name=None)

        return _joined(rounds())

    def _through(self, images: ImageSet, *, outliers: bool) -> tuple[Found, ...]:
        ascent, generator = self.suite.ascent, self._generator()
        goals = self.judged.accepted if outliers else (self.judged.rejected,)
        left = ascent.targeted  # images of the set that are yet to be aimed at classes

        def rounds() -> Iterator[list[Found]]:
            nonlocal left
            for part, pixels, _ in _batches(images):
                pushed = climbed(
                    ascent,
                    goals,
                    pixels,
                    self.suite.budgets_255,
                    generator,
                    targeted=min(left, len(pixels)),
                )
                name = images.name if outliers else None
                clean = [self._judge(part, 0.0, pixels, name=None)]
                yield clean + self._rounds(part, pushed, steps=ascent.steps, name=name)
                left = max(left - len(pixels), 0)

        return _joined(rounds())

    def _rounds(
        self, part: Tensor, pushed: Iterator[tuple[float, Tensor]], *, steps: int, name: str | None
    ) -> list[Found]:
        found = []
        with frozen(self.classifier):
            for epsilon_255, moved in pushed:
                found.append(self._judge(part, epsilon_255, moved, name=name))
                self.advance(len(part) * steps)
        return found

    def _judge(self, part: Tensor, epsilon_255: float, moved: Tensor, *, name: str | None) -> Found:
        with torch.no_grad():
            classes = self.classifier.outputs(moved)[1].argmax(1)
        scores = values(self.judged, moved)
        answers = Answers(scores=scores.numpy(), classes=classes.numpy())
        return Found(
            epsilon_255=epsilon_255,
            answers=answers,
            replayed=self._replayed(part, epsilon_255, moved),
            worst=self._worst(part, epsilon_255, moved, answers, name) if name else (),
        )

    def _replayed(self, part: Tensor, epsilon_255: float, moved: Tensor) -> Answers | None:
        if self.judged.column is None:
            return None
        logits, scores = self.serve(whole_pixels(moved, part, epsilon_255))
        return Answers(scores=scores[:, self.judged.column], classes=logits.argmax(axis=1))

    def _worst(
        self, part: Tensor, epsilon_255: float, moved: Tensor, answers: Answers, name: str
    ) -> tuple[FalseAccept, ...]:
        lowest = np.argsort(answers.scores, kind="stable")[:WORST]
        rows = [row for row in lowest if answers.scores[row] <= self.judged.threshold]
        clean = values(self.judged, to_pixels(part[rows])) if rows else torch.empty(0)
        return tuple(
            FalseAccept(
                set_name=name,
                epsilon_255=epsilon_255,
                clean=part[row].numpy(),
                attacked=moved[row].permute(1, 2, 0).numpy(),
                clean_score=float(before),
                score=float(answers.scores[row]),
                predicted_class=self.classes[answers.classes[row]],
            )
            for row, before in zip(rows, clean, strict=True)
        )

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.suite.seed)


def _batches(images: ImageSet) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    parts = zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True)
    for part, labels in parts:
        yield part, to_pixels(part), labels


def _joined(rounds: Iterator[list[Found]]) -> tuple[Found, ...]:
    """Join the batches' results, budget by budget."""
    return tuple(_as_one(list(parts)) for parts in zip(*rounds, strict=True))


def _as_one(parts: list[Found]) -> Found:
    replayed = [part.replayed for part in parts if part.replayed is not None]
    worst = sorted((case for part in parts for case in part.worst), key=lambda case: case.score)
    return replace(
        parts[0],
        answers=joined_answers([part.answers for part in parts]),
        replayed=joined_answers(replayed) if replayed else None,
        worst=tuple(worst[:WORST]),
    )
