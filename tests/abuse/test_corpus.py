"""The corpus is as large as promised, and the same in every run."""

import os
import subprocess
import sys

import pytest

from tests.abuse.corpus import FAMILIES, SEED, corpus, digest, family
from tests.abuse.judging import documented

DIGESTS = "from tests.abuse.corpus import corpus, digest; print(*map(digest, corpus()))"


@pytest.fixture(scope="module")
def cases() -> dict[str, tuple[str, frozenset[str]]]:
    """Digest and right answers of every case by its name; the cases themselves are large."""
    made: dict[str, tuple[str, frozenset[str]]] = {}
    for case in corpus():
        assert case.name not in made, f"two cases are called {case.name}"
        made[case.name] = (digest(case), case.accepted)
    return made


def test_there_are_300_requests_and_more_and_no_two_send_the_same(
    cases: dict[str, tuple[str, frozenset[str]]],
) -> None:
    assert len(cases) >= 300
    assert len({sent for sent, _ in cases.values()}) == len(cases)


def test_another_process_sends_the_same_bytes(
    cases: dict[str, tuple[str, frozenset[str]]],
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert run.stdout.split() == [sent for sent, _ in cases.values()]


@pytest.mark.parametrize("name", ["cut images", "mutated", "shapes"])
def test_another_seed_sends_other_bytes(name: str) -> None:
    def sent(seed: int) -> set[str]:
        return {digest(case) for case in family(name, seed)}

    assert sent(SEED) == sent(SEED)
    assert sent(SEED) != sent(SEED + 1)


def test_every_family_has_cases(cases: dict[str, tuple[str, frozenset[str]]]) -> None:
    assert {name.partition("/")[0] for name in cases} == set(FAMILIES)


def test_no_case_takes_a_failure_of_the_service_for_right(
    cases: dict[str, tuple[str, frozenset[str]]],
) -> None:
    named = {"ok", "plain-400", "silence", "head-200", "head-404", "head-405"}
    protocol = {f"v2-{status}" for status in (400, 404, 405, 413, 415, 422)}
    known = {*named, *protocol, *documented()}
    for name, (_, accepted) in cases.items():
        assert accepted, name
        assert accepted <= known, name
        assert not accepted & {"internal-error", "not-ready", "overloaded"}, name
        assert "deadline-exceeded" not in accepted or name.startswith("slow/"), name
