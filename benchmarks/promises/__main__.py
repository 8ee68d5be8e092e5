"""Check the promises of policies: `python -m benchmarks.promises --data DATA [--draws N]`.

DATA is a folder with cifar10_test.parquet and gtsrb_train.parquet. Prints a table in Markdown: for
each promise the share of calibration sets whose policy breaks it, and the share that is allowed.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.promises.draws import (
    alpha_and_beta,
    attacked_rate,
    class_rates,
    group_rate,
    rates,
    rejection_rate,
    wrong_and_accepted,
)
from benchmarks.promises.scores import (
    RealScores,
    all_images,
    attacked_images,
    near_duplicates,
    tracks,
)
from oodguard.models.decision import Policy

ALPHA, BETA, BUDGET = 0.05, 0.03, 2
"""The bounds of all rows, and the attack budget in 255ths."""

BETA_WITH_ALPHA = 0.1125
"""The hardest one: at the thresholds of alpha, about half of the rates are above it."""

CALIBRATION_IMAGES = 2000
GROUPS = 100
ATTACKED_CALIBRATION = 300

ByName = Mapping[str, NDArray[np.float64]]


def _row(promise: str, found: ByName, bound: float, *, on_average: bool = False) -> list[str]:
    """Return a row; of several rates, such as those of classes, the one that breaks most often.

    A promise on average is broken by the mean over the draws, the others by each draw.
    """
    broken = {name: float((each > bound).mean()) for name, each in found.items()}
    means = {name: float(each.mean()) for name, each in found.items()}
    worst = max(found, key=lambda name: (0 if on_average else broken[name], means[name]))
    label = "" if len(found) == 1 else f" ({worst})"
    allowed = "on average" if on_average else "5 %"
    return [
        promise,
        f"{100 * bound:g} %",
        f"{100 * means[worst]:.2f} %{label}",
        "" if on_average else f"{100 * broken[worst]:.1f} %",
        allowed,
    ]


def _of_images(real: RealScores, draws: int) -> Iterator[list[str]]:
    score = real.bundle.manifest.default_score

    def drawn(measure: Callable[..., dict[str, float]], **policy: object) -> ByName:
        chosen = Policy(**{"score": score, "alpha": ALPHA, **policy})  # type: ignore[arg-type]
        return rates(real, chosen, measure, n=CALIBRATION_IMAGES, draws=draws)

    yield _row("alpha, delta none", drawn(rejection_rate, delta=None), ALPHA, on_average=True)
    yield _row("alpha, delta 5 %", drawn(rejection_rate), ALPHA)
    common, by_class = drawn(class_rates), drawn(class_rates, by_class=True)
    yield _row("alpha of each class, common threshold", common, ALPHA)
    yield _row("alpha of each class, by_class", by_class, ALPHA)
    worst = max(common, key=lambda name: float(common[name].mean()))
    for name, found in (("common threshold", common), ("by_class", by_class)):
        others = np.mean([found[each] for each in found if each != worst], axis=0)
        mixed = {worst: 0.9 * found[worst] + 0.1 * others}
        yield _row(f"alpha, 90 % of traffic {worst}, {name}", mixed, ALPHA)
    yield _row(
        "beta alone, delta none",
        drawn(wrong_and_accepted, alpha=None, beta=BETA, delta=None),
        BETA,
        on_average=True,
    )
    yield _row("beta alone, delta 5 %", drawn(wrong_and_accepted, alpha=None, beta=BETA), BETA)
    yield from _together(real, draws)


def _together(real: RealScores, draws: int) -> Iterator[list[str]]:
    """Yield a row for each promise of a policy with alpha and beta.

    Alpha sets the threshold. The policy states that beta holds there, or which other one does: a
    draw breaks the statement if more images are accepted with a wrong class.
    """
    policy = Policy(score=real.bundle.manifest.default_score, alpha=ALPHA, beta=BETA_WITH_ALPHA)
    found = rates(real, policy, alpha_and_beta, n=CALIBRATION_IMAGES, draws=draws)
    promise = f"alpha together with beta {100 * BETA_WITH_ALPHA:g} %"
    yield _row(f"{promise}: alpha", {"rejected": found["rejected"]}, ALPHA)
    holds = found["reachable"] == 0
    stated_beta = np.where(holds, BETA_WITH_ALPHA, found["reachable"])
    for text, chosen in (("beta holds", holds), ("beta does not hold, another does", ~holds)):
        broken = chosen & (found["wrong"] > stated_beta)
        stated = stated_beta[chosen]
        yield [
            f"{promise}: {text} ({chosen.mean():.0%} of the draws)",
            f"{100 * stated.mean():.3g} %" if chosen.any() else "",
            f"{100 * found['wrong'][chosen].mean():.2f} %" if chosen.any() else "",
            f"{100 * broken.mean():.1f} %",
            "5 %",
        ]


def _of_groups(name: str, real: RealScores, draws: int) -> Iterator[list[str]]:
    score = real.bundle.manifest.default_score
    for delta, text in ((None, "delta none"), (0.05, "delta 5 %")):
        for keep, how in ((False, "groups ignored"), (True, "with groups")):
            policy = Policy(score=score, alpha=ALPHA, delta=delta)
            found = rates(
                real, policy, group_rate, n=GROUPS, draws=draws, grouped=True, keep_groups=keep
            )
            yield _row(f"alpha, {name}, {text}, {how}", found, ALPHA, on_average=delta is None)


def _under_attack(real: RealScores, draws: int) -> Iterator[list[str]]:
    score = real.bundle.manifest.default_score
    for budget, how in ((None, "policy without under_attack"), (BUDGET, "under_attack")):
        policy = Policy(score=score, alpha=ALPHA, under_attack=budget)
        found = rates(real, policy, attacked_rate(BUDGET), n=ATTACKED_CALIBRATION, draws=draws)
        yield _row(f"alpha of images attacked at {BUDGET}/255, {how}", found, ALPHA)


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    draws: Annotated[int, typer.Option(min=1, help="Calibration sets.")] = 1000,
    attacked: Annotated[int, typer.Option(min=1, help="Attacked images.")] = 1000,
) -> None:
    """Print the share of calibration sets whose policy breaks each promise."""
    rows = [["promise", "bound", "mean rate", "draws that break it", "allowed"]]
    rows += _of_images(all_images(data), draws)
    rows += _of_groups(f"{GROUPS} near-duplicate bursts", near_duplicates(data, images=1500), draws)
    rows += _of_groups(f"{GROUPS} films of signs", tracks(data), draws)
    budgets = [budget for budget in (1, 2, 4, 8) if budget <= BUDGET]
    rows += _under_attack(attacked_images(data, images=attacked, budgets=budgets), draws)
    for index, row in enumerate(rows):
        typer.echo(f"| {' | '.join(row)} |")
        if index == 0:
            typer.echo(f"|{' --- |' * len(row)}")


if __name__ == "__main__":
    typer.run(main)
