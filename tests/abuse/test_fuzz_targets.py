"""What the fuzzer begins with passes its targets."""

from collections.abc import Mapping

import pytest

from tests.abuse.fuzz import targets
from tests.abuse.fuzz.seeds import MOST_BYTES, seeds
from tests.abuse.fuzz.targets import TARGETS, run


@pytest.fixture(scope="module")
def given() -> Mapping[str, list[bytes]]:
    return seeds()


# Pillow warns of odd metadata; a running service silences it (service.logs).
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_gives_a_result_or_an_error_of_the_tree(
    name: str, given: Mapping[str, list[bytes]]
) -> None:
    assert len(given[name]) >= 20
    for data in given[name]:
        assert len(data) <= MOST_BYTES
        run(name, data)


def test_a_target_that_fails_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_data: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(targets, "TARGETS", {"image": failing})
    with pytest.raises(ZeroDivisionError):
        run("image", b"")
