import pytest

from oodguard.models.counts import count_of


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (2310, "2,310 images")]
)
def test_count_of_adds_an_s_except_for_one(number: int, text: str) -> None:
    assert count_of(number, "image") == text


def test_count_of_an_irregular_noun() -> None:
    assert [count_of(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]
