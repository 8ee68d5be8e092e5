import pytest

from benchmarks.outliers import DATA_SETS, ROWS, recipe, table
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


def test_outlier_benchmark_table_has_clean_and_attacked_means() -> None:
    text = table({("cifar10", "synthetic"): REPORT})
    assert text.splitlines()[-1] == "| cifar10 | synthetic | 75 % | .875 | .375 | 2/255 |"
