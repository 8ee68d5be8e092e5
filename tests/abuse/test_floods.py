"""Floods of HTTP: the server stays healthy, and its memory is bounded and returns."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.abuse.floods import Flood, floods
from tests.abuse.fuzz.connections import faults
from tests.abuse.memory import MAX_BYTES_OF_MANY, MAX_BYTES_OF_ONE, outcome
from tests.e2e.conftest import RunningServer, serving
from tests.service.tiny import write_tiny

# An access log of a million lines would fill the disk.
SETTINGS = {"OODGUARD_LOG_LEVEL": "error"}
FUZZ_S = 12

WORKERS = [pytest.param(1, id="one process"), pytest.param(2, id="two workers")]
FLOODS = [pytest.param(flood, id=flood.name) for flood in floods()]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=WORKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server for all tests of the module, which must not make it unhealthy."""
    folder: Path = tmp_path_factory.mktemp("floods")
    write_tiny(folder / "tiny")
    settings = {**SETTINGS, "OODGUARD_WORKERS": request.param}
    with serving(folder / "tiny", folder / "log", settings) as running:
        yield running


@pytest.mark.parametrize("server", WORKERS[:1], indirect=True)
@pytest.mark.parametrize("flood", FLOODS)
def test_flood_on_one_connection_takes_bounded_memory(server: RunningServer, flood: Flood) -> None:
    result = outcome(server, flood, max_bytes=2**24)
    assert result.fault is None
    assert result.peak_bytes <= MAX_BYTES_OF_ONE


@pytest.mark.parametrize("flood", FLOODS)
def test_flood_on_a_thousand_connections_takes_bounded_memory(
    server: RunningServer, flood: Flood
) -> None:
    result = outcome(server, flood, connections=1000, max_bytes=2**17)
    assert result.fault is None
    assert result.peak_bytes <= MAX_BYTES_OF_MANY


def test_random_floods_take_bounded_memory(server: RunningServer) -> None:
    assert faults(server, seconds=FUZZ_S, seed=0) == []
