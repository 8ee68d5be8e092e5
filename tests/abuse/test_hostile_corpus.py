"""The corpus: what it contains, and the responses of one server to all of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.processes import peak_bytes, process_tree, reset_peak, used_bytes
from oodguard.service.api.schemas import PredictResponse
from tests.abuse.case import Case
from tests.abuse.corpus import FAMILIES, SEED, corpus, digest, family
from tests.abuse.exchange import exchange
from tests.abuse.outcomes import documented, outcomes
from tests.e2e.conftest import RunningServer, counter, serving
from tests.service.pictures import BLUE, encode, plain

DIGESTS = "from tests.abuse.corpus import corpus, digest; print(*map(digest, corpus()))"
SLOW_CLIENTS = 16
# For each process that serves, because the allocator of each keeps some for its next requests.
MAX_BYTES_ABOVE_IDLE = 128 * 10**6
# The pixel limit equals the corpus's largest real images, because memory is proportional to it
# (docs/abuse.md). The time for a body is short for the clients that never finish.
SETTINGS = {"OODGUARD_MAX_PIXELS": 2_000_000, "OODGUARD_BODY_TIMEOUT_S": 8}

Summary = dict[str, tuple[str, frozenset[str]]]


@pytest.fixture(scope="module")
def cases() -> Summary:
    """Digest and correct outcomes by name; all cases would need too much memory."""
    found: Summary = {}
    for case in corpus():
        assert case.name not in found, f"two cases have the name {case.name}"
        found[case.name] = (digest(case), case.accepted)
    return found


def test_corpus_has_more_than_1200_distinct_cases_of_every_family(cases: Summary) -> None:
    assert len(cases) >= 1200
    assert len({sent for sent, _ in cases.values()}) == len(cases)
    assert {name.partition("/")[0] for name in cases} == set(FAMILIES)


def test_corpus_is_the_same_in_another_process(cases: Summary) -> None:
    command, environment = [sys.executable, "-c", DIGESTS], {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == [sent for sent, _ in cases.values()]


@pytest.mark.parametrize("name", ["cut images", "mutated", "shapes"])
def test_corpus_depends_on_its_seed(name: str) -> None:
    def sent(seed: int) -> set[str]:
        return {digest(case) for case in family(name, seed)}

    assert sent(SEED) == sent(SEED)
    assert sent(SEED) != sent(SEED + 1)


def test_corpus_accepts_documented_outcomes_without_server_errors(cases: Summary) -> None:
    special = {"ok", "plain-400", "silence", "head-200", "head-404", "head-405"}
    protocol = {f"v2-{status}" for status in (400, 404, 405, 408, 413, 415, 422)}
    known = {*special, *protocol, *documented()}
    for name, (_, accepted) in cases.items():
        assert accepted, name
        assert accepted <= known, name
        assert not accepted & {"internal-error", "not-ready", "overloaded", "deadline-exceeded"}, (
            name
        )
        assert "request-timeout" not in accepted or name.startswith("slow/"), name


@pytest.fixture(params=[pytest.param(1, id="one process"), pytest.param(2, id="two workers")])
def server(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path
) -> Iterator[RunningServer]:
    settings = {**SETTINGS, "OODGUARD_WORKERS": request.param}
    with serving(tiny_bundle, tmp_path / "log", settings) as running:
        yield running


@pytest.mark.slow
def test_hostile_corpus_gets_documented_responses_and_leaves_the_server_intact(
    server: RunningServer,
) -> None:
    workers = counter(server, "oodguard_workers")
    processes, problems = process_tree(server.process.pid), documented()
    idle_bytes = used_bytes(processes)
    reset_peak(processes)

    def fault(case: Case) -> str | None:
        responses = exchange(server.address, case)
        assert server.process.poll() is None, f"{case.name} ended the server"
        try:
            received = outcomes(case, responses, problems)
        except AssertionError as undocumented:
            return f"{case.name}: {undocumented}"
        return None if received <= case.accepted else f"{case.name}: {received - case.accepted}"

    with ThreadPoolExecutor(SLOW_CLIENTS) as pool:
        slow = pool.map(fault, family("slow"))
        others = [fault(case) for name in FAMILIES if name != "slow" for case in family(name)]
        faults = [each for each in (*others, *slow) if each]

    assert not faults, "\n".join(faults)
    response = httpx2.post(
        f"{server.url}/predict", content=encode(plain(BLUE)), headers={"content-type": "image/png"}
    )
    (prediction,) = PredictResponse.model_validate_json(response.content).predictions
    assert prediction.label == "blue"
    assert process_tree(server.process.pid) == processes
    assert "Traceback" not in server.log.read_text()
    assert peak_bytes(processes) - idle_bytes <= workers * MAX_BYTES_ABOVE_IDLE
