"""The variants differ in what they name, and their table has the spread over the seeds."""

import pytest

from benchmarks import ablation
from benchmarks.ablation import (
    CHOICE,
    LEAST_INLIERS,
    TEST_SETS,
    VARIANTS,
    Outcome,
    Setting,
    progress_line,
    recipe,
    table,
)
from oodguard.training.config.recipe import parse_recipe


@pytest.mark.parametrize("name", VARIANTS)
def test_ablation_recipe_is_valid_and_holds_out_the_set_for_choosing(name: str) -> None:
    setting = Setting(inliers=5000, epochs=3, epsilon_255=8.0, precision="float32")
    parsed = parse_recipe(recipe(name, setting, seed=2), origin=name)
    assert (parsed.seed, parsed.inliers.images, parsed.schedule.epochs) == (2, 5000, 3)
    assert parsed.schedule.precision == "float32"
    assert parsed.attack is not None
    assert parsed.attack.epsilon_255 == 8.0
    assert set(parsed.evaluation.outliers) == set(TEST_SETS)
    assert CHOICE not in parsed.evaluation.outliers


def test_ablation_table_has_mean_spread_and_paired_gain() -> None:
    base = [Outcome(choice=c, accuracy=0.7, clean=0.9, attacked=0.8) for c in (0.6, 0.7, 0.8)]
    other = [Outcome(choice=c, accuracy=0.6, clean=0.9, attacked=0.8) for c in (0.62, 0.72, 0.85)]
    lines = table({"base": base, "other": other}, epsilon_255=8).splitlines()
    # The gains are .02, .02 and .05: their mean is .03 and their standard deviation .0173.
    assert lines[0].split("|")[-2].strip() == "8/255"
    expected = "| other | 0.730 ± 0.115 | 0.030 ± 0.017 | 0.600 ± 0.000 |"
    assert lines[-1].startswith(expected)
    assert lines[2].startswith("| base | 0.700 ± 0.100 |  | 0.700")


def test_ablation_table_of_one_seed_has_no_spread() -> None:
    base = Outcome(choice=0.6, accuracy=0.7, clean=0.9, attacked=0.8)
    other = Outcome(choice=0.65, accuracy=0.6, clean=0.85, attacked=0.75)
    lines = table({"base": [base], "other": [other]}, epsilon_255=2).splitlines()
    assert lines[2:] == [
        "| base | 0.600 |  | 0.700 | 0.900 | 0.800 |",
        "| other | 0.650 | 0.050 | 0.600 | 0.850 | 0.750 |",
    ]


def test_ablation_progress_line_has_the_names_of_the_columns() -> None:
    outcome = Outcome(choice=0.4698333, accuracy=0.35, clean=0.7014, attacked=0.6)
    assert progress_line("KL terms, no reject class", 2, outcome, epsilon_255=8) == (
        '"KL terms, no reject class", seed 2: choice 0.470, accuracy 0.350, clean 0.701,'
        " 8/255 0.600"
    )


def test_ablation_least_inliers_are_twice_those_that_a_recipe_holds_out() -> None:
    parsed = parse_recipe(recipe("base", Setting(inliers=2000, epochs=1), seed=1), origin="base")
    held_out = parsed.inliers.validation + parsed.inliers.calibration
    assert 2 * held_out == LEAST_INLIERS == 2000


def test_ablation_refuses_too_few_inliers_before_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["--inliers", "1999"])
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(
            "error: argument --inliers: received '1999', expected a whole number from 2000 on"
        )
    )


def test_ablation_help_states_the_least_inliers_the_base_and_quoted_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "images of CIFAR-10, at least 2000 (default: 10000)" in text
    assert '"KL terms, no reject class"; "base" is always trained too' in text


def test_ablation_without_names_trains_each_variant_with_each_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts: list[str] = []

    def measure(text: str, setting: Setting, _: object) -> Outcome:
        assert setting == Setting(inliers=3000, epochs=1, epsilon_255=2.0)
        texts.append(text)
        return Outcome(choice=0.5, accuracy=0.5, clean=0.5, attacked=0.5)

    monkeypatch.setattr(ablation, "measure", measure)
    ablation.main(["--seeds", "2", "--inliers", "3000", "--epochs", "1"])
    setting = Setting(inliers=3000, epochs=1)
    expected = {recipe(name, setting, seed=s) for name in VARIANTS for s in (1, 2)}
    assert set(texts) == expected
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(VARIANTS)


def test_ablation_unknown_variant_is_refused_before_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        ablation.main(["bsae"])
    expected = 'unknown variants: "bsae", expected one or more of "base", "no reject class", '
    assert expected in capsys.readouterr().err
