"""Attack trials: cross-check the suite's attack with other attacks on a subset of the images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import torch
from torch import Tensor

from oodguard.training.attacks.attack_runner import gradient_attack, run_attack
from oodguard.training.attacks.base import Attack, AttackObjective, uniform, value_and_gradient
from oodguard.training.attacks.noise import RandomNoise, transfer_attack
from oodguard.training.attacks.objectives import acceptance_objectives, rejection_objective
from oodguard.training.attacks.square import Square
from oodguard.training.config.suites import Suite, SuiteAttack
from oodguard.training.report.evidence import Scores
from oodguard.training.report.metrics import auroc
from oodguard.training.scoring.graph import ScoredClassifier, evaluation_batch_size
from oodguard.training.scoring.network import frozen

FEW_STEPS = 10
LARGE_EPSILON = 64 / 255  # a quarter of the pixel range: no classifier can be robust within it
LOW_AUROC = 0.1  # at this AUROC and below, more steps can change little


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackTrials:
    """AUROC by attack with both sides attacked; None for what was not tried.

    `by_epsilon` is the mean AUROC of the whole evaluation by epsilon, ascending, 0 for clean. All
    others are measured on the subset, and all but `long_leads` within the epsilon of the trials.

    Attributes:
        black_box: Whether the graph has no gradients, so that nothing was tried.
        epsilon: That of the trials, in [0, 1] pixel units.
        steps: Steps of the suite's attack.
        by_steps: By the gradient attack, by its number of steps, ascending.
        long_leads: How much lower it is by the gradient attack with the suite's `long_steps` than
            with `steps`, by larger epsilon.
        white_box: By the gradient attack with `steps` steps.
        noise: By the best of several random noises.
        transfer: By the gradient attack on another classifier.
        at_64: By the gradient attack within 64/255.
        bad_gradients: Share of images whose gradient is all zero or not finite, at the image
            itself or at a random start.
    """

    by_epsilon: Mapping[float, float]
    black_box: bool = False
    epsilon: float | None = None
    steps: int | None = None
    by_steps: Mapping[int, float] = field(default_factory=dict)
    long_leads: Mapping[float, float] = field(default_factory=dict)
    clean: float | None = None
    white_box: float | None = None
    noise: float | None = None
    square: float | None = None
    transfer: float | None = None
    at_64: float | None = None
    bad_gradients: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackedScore:
    """A classifier and the score of it that is attacked."""

    classifier: ScoredClassifier
    score: str

    @property
    def objectives(self) -> tuple[AttackObjective, AttackObjective]:
        """The objective for in-distribution images (rejection) and for outliers (acceptance)."""
        rejection = rejection_objective(self.classifier, self.score)
        return rejection, acceptance_objectives(self.classifier, self.score)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialImages:
    """The subset, float `(n, 3, H, W)` and `(m, 3, H, W)` in [0, 1], and the attacked score.

    Images are processed in batches. The caller freezes all networks.
    """

    victim: AttackedScore
    inliers: Tensor
    outliers: Tensor

    @property
    def count(self) -> int:
        """The number of images of both sides."""
        return len(self.inliers) + len(self.outliers)

    def clean_auroc(self) -> float:
        """Return the AUROC without an attack."""
        return self._auroc(None, None)

    def attacked_auroc(self, attack: Attack, generator: torch.Generator) -> float:
        """Return the AUROC with both sides attacked."""
        sides = self.victim.objectives
        return self._auroc(*(partial(attack, each, generator=generator) for each in sides))

    def attacked_aurocs(
        self, settings: SuiteAttack, epsilons: Sequence[float], generator: torch.Generator
    ) -> dict[float, float]:
        """Return the AUROC by epsilon with both sides attacked as in an evaluation.

        Each epsilon, ascending, starts from the images found within the one before.
        """
        sides = []
        for objective, images in zip(
            self.victim.objectives, (self.inliers, self.outliers), strict=True
        ):
            batches = []
            for batch in images.split(evaluation_batch_size(*images.shape[2:])):
                found = run_attack(settings, [objective], batch, epsilons, generator, targeted=0)
                batches.append([self._score(attacked) for _, attacked in found])
            sides.append([torch.cat(parts).numpy() for parts in zip(*batches, strict=True)])
        inside, outside = sides
        return {
            epsilon: auroc(*scores)
            for epsilon, *scores in zip(epsilons, inside, outside, strict=True)
        }

    def transferred_auroc(
        self, attack: Attack, source: AttackedScore, generator: torch.Generator
    ) -> float:
        """Return the AUROC with both sides attacked on `source` and scored by the victim."""
        transfer = partial(transfer_attack, attack, generator=generator)
        sides = zip(source.objectives, self.victim.objectives, strict=True)
        return self._auroc(*(partial(transfer, source=one, victim=two) for one, two in sides))

    def bad_gradients(self, epsilon: float, generator: torch.Generator) -> float:
        """Return the share of images with a gradient that is all zero or not finite.

        It is taken at the image and at a random start within `epsilon` of it.
        """
        parts = [
            _has_bad_gradient(objective, batch, epsilon, generator)
            for objective, images in zip(
                self.victim.objectives, (self.inliers, self.outliers), strict=True
            )
            for batch in images.split(evaluation_batch_size(*images.shape[2:]))
        ]
        return float(torch.cat(parts).float().mean())

    def _auroc(
        self,
        perturb_inliers: Callable[[Tensor], Tensor] | None,
        perturb_outliers: Callable[[Tensor], Tensor] | None,
    ) -> float:
        inside = self._scores(self.inliers, perturb_inliers)
        return auroc(inside, self._scores(self.outliers, perturb_outliers))

    def _scores(self, images: Tensor, perturb: Callable[[Tensor], Tensor] | None) -> Scores:
        parts = [
            self._score(perturb(batch) if perturb else batch)
            for batch in images.split(evaluation_batch_size(*images.shape[2:]))
        ]
        scores: Scores = torch.cat(parts).numpy()
        return scores

    @torch.no_grad()
    def _score(self, images: Tensor) -> Tensor:
        return self.victim.classifier.score(self.victim.score, images)


Remember = Callable[[str, Callable[[], float]], float]
"""`(name, measure)` to a figure that is measured now or was measured before."""


def trial_steps(suite: Suite, *, images: int, twin: bool) -> int:
    """Return the gradient steps of one image of all trials on `images`; a query counts a third."""
    settings, trials = suite.ascent, suite.trials
    epsilons = 1 + len(suite.budgets) if trials.long_steps else 1  # at most
    attacks = sum(_step_counts(suite)) * epsilons + settings.steps * (2 if twin else 1)
    return images * (
        attacks * settings.restarts + (trials.noise_draws + trials.square_queries) // 3
    )


def _step_counts(suite: Suite) -> list[int]:
    own = suite.ascent.steps
    return sorted({FEW_STEPS, own, suite.trials.long_steps or own})


def run_attack_trials(  # noqa: PLR0913  (by keyword)
    images: TrialImages,
    *,
    suite: Suite,
    epsilon: float,
    by_epsilon: Mapping[float, float],
    twin: AttackedScore | None,
    generator: torch.Generator,
    remember: Remember = lambda _, measure: measure(),
) -> AttackTrials:
    """Run the suite's attack trials.

    The images that an attack on `twin`, another classifier, finds are scored by the victim. The
    generator draws the seed that all attacks share.
    """
    settings, trials = suite.ascent, suite.trials
    seed = int(torch.randint(2**62, (), generator=generator))

    def same_starts() -> torch.Generator:
        # The attacks are to differ by what they do, not by where they start.
        return torch.Generator().manual_seed(seed)

    def named(name: str, epsilon: float = epsilon) -> str:
        return f"{name} within {255 * epsilon:g}/255"

    def under(name: str, attack: Attack) -> float:
        return remember(named(name), lambda: images.attacked_auroc(attack, same_starts()))

    def transferred(source: AttackedScore) -> float:
        with frozen(source.classifier):
            attack = gradient_attack(settings, epsilon)
            return images.transferred_auroc(attack, source, same_starts())

    @cache
    def chained(steps: int) -> Mapping[float, float]:
        attack = settings.model_copy(update={"steps": steps})
        return images.attacked_aurocs(attack, (epsilon, *larger), same_starts())

    def within(epsilon: float, steps: int) -> float:
        return remember(named(f"steps {steps}", epsilon), lambda: chained(steps)[epsilon])

    larger = _larger_epsilons(epsilon, by_epsilon) if trials.long_steps else ()
    with frozen(images.victim.classifier):
        by_steps = {steps: within(epsilon, steps) for steps in _step_counts(suite)}
        noise = RandomNoise(epsilon=epsilon, draws=trials.noise_draws)
        square = Square(epsilon=epsilon, queries=trials.square_queries)
        return AttackTrials(
            by_epsilon=by_epsilon,
            epsilon=epsilon,
            steps=settings.steps,
            by_steps=by_steps,
            long_leads={
                each: within(each, settings.steps) - within(each, trials.long_steps)
                for each in larger
            },
            clean=images.clean_auroc(),
            white_box=by_steps[settings.steps],
            noise=under("noise", noise) if trials.noise_draws else None,
            square=under("square", square) if trials.square_queries else None,
            transfer=remember(named("transfer"), lambda: transferred(twin)) if twin else None,
            at_64=under("at 64", _large_attack(settings, epsilon)),
            bad_gradients=images.bad_gradients(epsilon, same_starts()),
        )


def _larger_epsilons(epsilon: float, by_epsilon: Mapping[float, float]) -> tuple[float, ...]:
    """Return the epsilons above that of the trials at which the AUROC is not near 0 yet."""
    return tuple(each for each, found in by_epsilon.items() if each > epsilon and found > LOW_AUROC)


def _large_attack(settings: SuiteAttack, epsilon: float) -> Attack:
    """Return the suite's attack within 64/255; PGD's step grows with epsilon to reach the edge."""
    return gradient_attack(settings, LARGE_EPSILON, step_scale=LARGE_EPSILON / epsilon)


def _has_bad_gradient(
    objective: AttackObjective, images: Tensor, epsilon: float, generator: torch.Generator
) -> Tensor:
    rows = torch.arange(len(images))
    bad = torch.zeros_like(rows, dtype=torch.bool)
    for point in (images, uniform(images, epsilon, generator)):
        gradient = value_and_gradient(objective, point, rows)[1].flatten(1)
        bad |= (gradient == 0).all(dim=1) | ~gradient.isfinite().all(dim=1)
    return bad
