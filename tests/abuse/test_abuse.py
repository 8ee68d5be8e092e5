"""One server is sent every hostile request there is, and is as well afterwards as before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from oodguard.service.api.schemas import PredictAnswer
from tests.abuse.corpus import FAMILIES, family
from tests.abuse.hostile import Case
from tests.abuse.judging import documented, outcomes
from tests.abuse.serving import MIB, Served, forget_peak, peak_mib, resident_mib, serving
from tests.abuse.wire import exchange
from tests.service.pictures import BLUE, encode, plain

pytestmark = pytest.mark.slow

SLOW_SENDERS = 16
MOST_ABOVE_IDLE_MIB = 100 * 10**6 / MIB
# As many pixels as the corpus's largest pictures really have, since what one costs is in proportion
# (docs/abuse.md); and a short deadline, so that those who never finish need not be waited for.
SETTINGS = {"OODGUARD_MAX_PIXELS": 2_000_000, "OODGUARD_TIMEOUT_S": 10}


@pytest.fixture
def server(tiny_bundle: Path, tmp_path: Path) -> Iterator[Served]:
    with serving(tiny_bundle, tmp_path / "log", SETTINGS) as served:
        yield served


def judge_blue(server: Served) -> str:
    """The label of a blue picture, which is "blue" by the way the tiny graph is made."""
    response = httpx2.post(
        f"{server.url}/predict", content=encode(plain(BLUE)), headers={"content-type": "image/png"}
    )
    (prediction,) = PredictAnswer.model_validate_json(response.content).predictions
    return prediction.label


def test_the_whole_corpus_gets_documented_answers_and_the_server_stays_as_it_was(
    server: Served, tmp_path: Path
) -> None:
    pid, problems = server.process.pid, documented()
    idle_mib = resident_mib(pid)
    forget_peak(pid)

    def fault(case: Case) -> str | None:
        answers = exchange(server.address, case)
        assert server.process.poll() is None, f"{case.name} ended the server"
        try:
            came = outcomes(case, answers, problems)
        except AssertionError as undocumented:
            return f"{case.name}: {undocumented}"
        return None if came <= case.accepted else f"{case.name}: {came - case.accepted}"

    with ThreadPoolExecutor(SLOW_SENDERS) as together:
        slow = together.map(fault, family("slow"))
        others = [fault(case) for name in FAMILIES if name != "slow" for case in family(name)]
        faults = [each for each in (*others, *slow) if each]

    assert not faults, "\n".join(faults)
    assert judge_blue(server) == "blue"
    assert (server.process.poll(), server.process.pid) == (None, pid)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert peak_mib(pid) - idle_mib <= MOST_ABOVE_IDLE_MIB
