"""The variants differ in what they name, and their table has the spread over the seeds."""

import pytest

from benchmarks.ablation import CHOICE, TEST_SETS, VARIANTS, Outcome, recipe, table
from oodguard.training.config.recipe import parse_recipe


@pytest.mark.parametrize("name", VARIANTS)
def test_ablation_recipe_is_valid_and_holds_out_the_set_for_choosing(name: str) -> None:
    parsed = parse_recipe(recipe(name, seed=2, inliers=5000, epochs=3), origin=name)
    assert (parsed.seed, parsed.inliers.images, parsed.schedule.epochs) == (2, 5000, 3)
    assert set(parsed.evaluation.outliers) == set(TEST_SETS)
    assert CHOICE not in parsed.evaluation.outliers


def test_ablation_table_has_mean_spread_and_paired_gain() -> None:
    base = [Outcome(choice=c, accuracy=0.7, clean=0.9, attacked=0.8) for c in (0.6, 0.7, 0.8)]
    other = [Outcome(choice=c, accuracy=0.6, clean=0.9, attacked=0.8) for c in (0.62, 0.72, 0.85)]
    lines = table({"base": base, "other": other}).splitlines()
    # The gains are .02, .02 and .05: their mean is .03 and their standard deviation .0173.
    expected = "| other | 0.730 ± 0.115 | 0.030 ± 0.017 | 0.600 ± 0.000 |"
    assert lines[-1].startswith(expected)
    assert lines[2].startswith("| base | 0.700 ± 0.100 |  | 0.700")
