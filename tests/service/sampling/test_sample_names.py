from datetime import UTC, datetime, timedelta

import pytest

from oodguard.service.sampling.sample import sample_stem, stem_of

AT = datetime(2026, 9, 8, 7, 6, 5, 40, tzinfo=UTC)


def test_sample_names_sort_by_time() -> None:
    times = [AT + timedelta(**{unit: 1}) for unit in ("microseconds", "seconds", "hours", "days")]
    names = [sample_stem(at, request_id, 0) for at, request_id in zip(times, "dcba", strict=True)]
    assert sorted(names) == names


def test_sample_files_have_a_common_stem() -> None:
    name = sample_stem(AT, "r-0", 3)
    assert name == "20260908T070605.000040Z-r-0-3"
    for suffix in ("jpeg", "png", "webp", "json"):
        assert stem_of(f"{name}.{suffix}") == name


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "20260908T070605.000040Z-r-0.gif",
        "20260908T070605.000040Z-r-0.png.part",
        "20260908T070605.000040Z-r.png",
        "20260908T070605.000040Z-../r-0.png",
        "x20260908T070605.000040Z-r-0.png",
        "20260908T070605.000040Z-r-0.png\n",
        f"20260908T070605.000040Z-{'x' * 65}-0.png",
    ],
)
def test_sample_stem_is_none_for_other_files(name: str) -> None:
    assert stem_of(name) is None
