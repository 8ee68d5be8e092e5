"""The variants differ in what they name, and their table has the spread over the seeds."""

import pytest

from benchmarks import ablation
from benchmarks.ablation import CHOICE, TEST_SETS, VARIANTS, Outcome, Setting, recipe, table
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
    assert "['bsae'] are unknown" in capsys.readouterr().err
