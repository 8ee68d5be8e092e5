"""Numbered and named classes: a class is found by its name, and numbers are numbers."""

import pytest
from pydantic import ValidationError

from oodguard.models.errors import RecipeError
from oodguard.sources.classes import (
    describe_positions,
    in_order,
    match_all_classes,
    match_classes,
    select_classes,
)
from oodguard.sources.source import Source

TWELVE = tuple(map(str, range(12)))
PADDED = tuple(f"{number:03}" for number in range(12))
SIGNS = tuple(f"sign-{number}" for number in range(12))


def test_numbered_classes_are_ordered_as_numbers() -> None:
    assert in_order(set(TWELVE)) == TWELVE
    assert in_order({"10", "9", "100", "007"}) == ("007", "9", "10", "100")
    assert in_order({"10", "9", "cat"}) == ("10", "9", "cat")
    assert in_order({"1", "01"}) == ("01", "1")  # one number twice: names


@pytest.mark.parametrize(
    ("classes", "key", "expected"),
    [
        (TWELVE, 2, ["2"]),
        (TWELVE, "2", ["2"]),
        (TWELVE, "02", ["2"]),
        (PADDED, 2, ["002"]),
        (PADDED, "11", ["011"]),
        (("5", "10", "20"), 10, ["10"]),
        (("5", "10", "20"), 1, None),
        (("2", "cat"), 2, ["2"]),
        (("2", "cat"), 1, ["cat"]),
        (("cat", "dog"), 1, ["dog"]),
        (("cat", "dog"), "1", None),
        (("cat", "dog"), -1, None),
    ],
)
def test_class_selection_never_selects_another_class(
    classes: tuple[str, ...], key: str | int, expected: list[str] | None
) -> None:
    if expected is None:
        with pytest.raises(RecipeError, match=rf"x: only contains \[{key!r}\], expected names or"):
            select_classes(classes, only=(key,), leave_out=(), location="x")
        return
    selected = select_classes(classes, only=(key,), leave_out=(), location="x")
    assert [classes[index] for index in selected] == expected
    others = select_classes(classes, only=(), leave_out=(key,), location="x")
    assert sorted((*selected, *others)) == list(range(len(classes)))


@pytest.mark.parametrize(
    ("known", "found", "expected"),
    [
        (SIGNS, TWELVE, list(range(12))),
        (SIGNS, PADDED, list(range(12))),
        (SIGNS, ("2", "10"), [2, 10]),
        (SIGNS, ("sign-3",), [3]),
        (tuple(reversed(TWELVE)), TWELVE, list(range(11, -1, -1))),  # names first
        (TWELVE, PADDED, list(range(12))),
        (("5", "10"), ("05", "10"), [0, 1]),
        (("cat", "dog"), ("dog", "cat"), [1, 0]),
    ],
)
def test_classes_match_by_name_and_only_numbers_are_positions(
    known: tuple[str, ...], found: tuple[str, ...], expected: list[int]
) -> None:
    assert match_classes(known, found, name="x") == expected


@pytest.mark.parametrize(
    ("known", "found"),
    [(SIGNS, ("0", "12")), (("cat", "dog"), ("cat", "1")), (("5", "10"), ("0", "1"))],
)
def test_unknown_classes_do_not_match(known: tuple[str, ...], found: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError, match=r"x: unknown classes .*, expected those of"):
        match_classes(known, found, name="x")


def test_missing_class_of_a_test_set_is_an_error() -> None:
    assert match_all_classes(SIGNS, PADDED, name="x") == list(range(12))
    with pytest.raises(RecipeError, match=r"x: .* sign-11"):
        match_all_classes(SIGNS, PADDED[:-1], name="x")


@pytest.mark.parametrize("key", [0, "000"])
def test_number_of_two_classes_selects_none(key: int | str) -> None:
    with pytest.raises(
        RecipeError, match=rf"x: only: the number {key} is that of the classes 0, 00"
    ):
        select_classes(("0", "00", "1"), only=(key,), leave_out=(), location="x")
    assert select_classes(("0", "00", "1"), only=("00",), leave_out=(), location="x") == [1]
    assert select_classes(("0", "00", "1"), only=(1,), leave_out=(), location="x") == [2]
    with pytest.raises(RecipeError, match=r"only contains \[2\]"):
        select_classes(("0", "00", "1"), only=(2,), leave_out=(), location="x")


@pytest.mark.parametrize("key", ["only", "leave_out"])
def test_booleans_select_no_class(key: str) -> None:
    with pytest.raises(ValidationError, match="received true, expected names or numbers"):
        Source.model_validate({"folder": "x", key: [True]})


def test_long_numbers_are_ordered() -> None:
    names = ("2", "1" * 5000, "2" * 5000)
    assert in_order(set(names)) == names


def test_numbers_that_are_positions_of_names_are_described() -> None:
    """Sorted as text, `sign-10` is in position 2."""
    names = tuple(sorted(f"sign-{number}" for number in range(12)))
    message = describe_positions(names, ("002", "003"), name="x")
    assert message is not None
    assert "positions in the names of the classifier: 002 is sign-10, 003 is sign-11. If" in message
    assert describe_positions(names, names[:2], name="x") is None
    assert describe_positions(TWELVE, PADDED, name="x") is None
