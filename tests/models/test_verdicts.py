import numpy as np
import pytest

from oodguard.models.verdicts import NO_VERDICTS, Verdict, Verdicts
from tests.models.arrays import verdict_arrays


def verdicts(*values: int) -> Verdicts:
    return Verdicts(verdict_arrays(values), 0, len(values))


def class_ids(found: Verdicts) -> list[int]:
    return [verdict.class_id for verdict in found]


def assert_arrays_of(found: Verdicts, *values: int) -> None:
    pairs = zip(found.arrays.per_image, verdict_arrays(values).per_image, strict=True)
    for one, other in pairs:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_verdict_holds_one_row_of_the_arrays_as_plain_numbers() -> None:
    (verdict,) = verdicts(5)
    assert verdict == Verdict(
        label="class 5",
        class_id=5,
        confidence=5 / 256,
        scores={"one": 6.0, "two": 7.0},
        p_value=5 / 512,
        decision="reject",
    )
    plain = [verdict.class_id, verdict.confidence, verdict.p_value, *verdict.scores.values()]
    assert {type(number) for number in plain} == {int, float}


def test_verdicts_subset_holds_its_images_and_can_be_subset_again() -> None:
    part = verdicts(0, 1, 2, 3, 4, 5).subset(1, 5)
    assert class_ids(part) == [1, 2, 3, 4]
    assert len(part) == 4
    assert (part[0].class_id, part[-1].class_id) == (1, 4)
    assert [verdict.class_id for verdict in part[1:3]] == [2, 3]
    with pytest.raises(IndexError):
        part[4]
    assert class_ids(part.subset(1, 3)) == [2, 3]
    assert_arrays_of(part.subset(1, 3), 2, 3)


def test_verdicts_subset_returns_one_score_by_its_index() -> None:
    part = verdicts(0, 1, 2, 3).subset(1, 3)
    assert part.scores(0).tolist() == [2.0, 3.0]
    assert part.scores(1).tolist() == [3.0, 4.0]


def test_verdicts_of_several_batches_are_concatenated_in_order() -> None:
    joined = verdicts(0, 1, 2).subset(1, 3) + verdicts(3) + verdicts(8, 9).subset(0, 1)
    assert class_ids(joined) == [1, 2, 3, 8]
    assert_arrays_of(joined, 1, 2, 3, 8)


def test_no_verdicts_plus_some_are_the_same() -> None:
    assert not NO_VERDICTS
    assert class_ids(NO_VERDICTS + verdicts(7)) == [7]
