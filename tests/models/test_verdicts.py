import numpy as np
import pytest

from oodguard.models.verdicts import NO_VERDICTS, Columns, Verdict, Verdicts
from tests.models.columns import columns


def verdicts(*values: int) -> Verdicts:
    return Verdicts(columns(values), 0, len(values))


def class_ids(found: Verdicts) -> list[int]:
    return [verdict.class_id for verdict in found]


def check_columns(found: Columns, *values: int) -> None:
    for one, other in zip(found.arrays, columns(values).arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_a_row_of_the_arrays_is_one_image_s_verdict_in_plain_numbers() -> None:
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


def test_a_part_has_its_own_images_alone_and_so_have_its_parts() -> None:
    part = verdicts(0, 1, 2, 3, 4, 5).part(1, 5)
    assert class_ids(part) == [1, 2, 3, 4]
    assert len(part) == 4
    assert (part[0].class_id, part[-1].class_id) == (1, 4)
    assert [verdict.class_id for verdict in part[1:3]] == [2, 3]
    with pytest.raises(IndexError):
        part[4]
    assert class_ids(part.part(1, 3)) == [2, 3]
    check_columns(part.part(1, 3).columns, 2, 3)


def test_one_score_of_a_part_is_taken_by_its_place() -> None:
    part = verdicts(0, 1, 2, 3).part(1, 3)
    assert part.scores(0).tolist() == [2.0, 3.0]
    assert part.scores(1).tolist() == [3.0, 4.0]


def test_parts_are_joined_in_order_whatever_batches_they_are_of() -> None:
    joined = verdicts(0, 1, 2).part(1, 3).then(verdicts(3)).then(verdicts(8, 9).part(0, 1))
    assert class_ids(joined) == [1, 2, 3, 8]
    check_columns(joined.columns, 1, 2, 3, 8)


def test_none_and_some_are_some() -> None:
    assert not NO_VERDICTS
    assert class_ids(NO_VERDICTS.then(verdicts(7))) == [7]
