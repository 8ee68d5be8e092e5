from collections.abc import Mapping

import pytest

from tests.abuse.fuzz import targets
from tests.abuse.fuzz.seeds import MAX_BYTES, seeds
from tests.abuse.fuzz.targets import TARGETS, run


@pytest.fixture(scope="module")
def inputs() -> Mapping[str, list[bytes]]:
    return seeds()


# Pillow warns of invalid metadata; a running service suppresses this.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", TARGETS)
def test_fuzz_target_passes_on_every_seed(name: str, inputs: Mapping[str, list[bytes]]) -> None:
    assert len(inputs[name]) >= 20
    for data in inputs[name]:
        assert len(data) <= MAX_BYTES
        run(name, data)


def test_fuzz_target_raises_errors_outside_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_data: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(targets, "TARGETS", {"image": failing})
    with pytest.raises(ZeroDivisionError):
        run("image", b"")
