import pytest

from benchmarks.outliers import DATA_SETS, LEAST_INLIERS, ROWS, main, recipe, table
from oodguard.training.config.recipe import parse_recipe
from tests.training.report.example import REPORT


@pytest.mark.parametrize("name", DATA_SETS)
def test_outlier_benchmark_rows_differ_in_their_outliers_only(name: str) -> None:
    rows = {
        row: parse_recipe(recipe(DATA_SETS[name], each, inliers=9000, epochs=10), origin=row)
        for row, each in ROWS.items()
    }
    none, synthetic, real = rows["none"], rows["synthetic"], rows["real"]
    assert none.outliers is None
    assert none.method == "adv"
    assert synthetic.outliers is not None
    assert synthetic.outliers.synthetic == 1
    same = {"outliers": None, "method": "aloe"}
    assert {each.model_copy(update=same).model_dump_json() for each in rows.values()} == {
        real.model_copy(update=same).model_dump_json()
    }


def test_outlier_benchmark_least_inliers_are_twice_those_that_a_recipe_holds_out() -> None:
    text = recipe(DATA_SETS["gtsrb"], None, inliers=1400, epochs=1)
    inliers = parse_recipe(text, origin="gtsrb").inliers
    assert 2 * (inliers.validation + inliers.calibration) == LEAST_INLIERS == 1400


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--inliers=1399", "received '1399', expected a whole number from 1400 on"),
        ("--epochs=0", "received '0', expected a whole number from 1 on"),
        ("cifar", "unknown data sets: cifar, expected one or more of cifar10, gtsrb"),
    ],
)
def test_outlier_benchmark_refuses_an_option_before_training(
    option: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([option])
    assert capsys.readouterr().err.splitlines()[-1].endswith(expected)


def test_outlier_benchmark_table_has_clean_and_attacked_means() -> None:
    text = table({("cifar10", "synthetic"): REPORT})
    assert text.splitlines()[-1] == "| cifar10 | synthetic | 75 % | .875 | .375 | 2/255 |"
