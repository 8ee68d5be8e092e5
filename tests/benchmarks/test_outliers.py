import pytest

from benchmarks.outliers import BENCHES, ROWS, recipe, table
from oodguard.training.config.recipe import parse_recipe
from tests.training.report.example import tiny_report


@pytest.mark.parametrize("name", BENCHES)
def test_the_rows_differ_in_their_outliers_alone(name: str) -> None:
    rows = {
        row: parse_recipe(recipe(BENCHES[name], each, inliers=9000, epochs=10), origin=row)
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


def test_the_table_shows_clean_and_attacked_means() -> None:
    shown = table({("cifar10", "synthetic"): tiny_report()})
    assert shown.splitlines()[-1] == "| cifar10 | synthetic | 75 % | .875 | .375 | 2/255 |"
