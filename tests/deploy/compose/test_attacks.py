"""The guard's container with its default limits under attack, while another client asks.

The attack comes from another container, so that the two clients have different addresses.
"""

import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

import httpx2
import pytest

from tests.deploy.compose import traffic
from tests.deploy.compose.stack import FOLDER, IMAGE, PROJECT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

ATTACK_S = 60
REQUESTS_PER_SECOND = 20


@pytest.mark.parametrize("attack", ["trailers", "pipelining", "slow bodies", "large images"])
def test_container_serves_another_client_under_attack_without_a_restart(
    stack: Stack, attack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.up()
    before = stack.inspect_service("guard")
    in_network = ["--network", f"{PROJECT}_default", "--entrypoint", "python"]
    arguments = ["guard", attack, str(ATTACK_S)]
    with (
        (FOLDER / "attack_client.py").open() as script,
        subprocess.Popen(
            ["docker", "run", "--rm", "--interactive", *in_network, IMAGE, "-", *arguments],
            env=stack.environment,
            stdin=script,
            stdout=subprocess.PIPE,
            text=True,
        ) as attacker,
    ):
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "attacking\n"
        statuses, seconds = ask_steadily(stack)
        connections = int(attacker.stdout.read())
    share = statuses[200] / statuses.total()
    p50, p99 = (1000 * quantiles(seconds, n=100)[each - 1] for each in (50, 99))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{attack}: {connections} connections of the attacker; {statuses.total()} requests of"
            f" the other client, {share:.2%} answered 200, p50 {p50:.0f} ms, p99 {p99:.0f} ms\n"
        )
    after = stack.inspect_service("guard")
    assert after["State"]["Pid"] == before["State"]["Pid"]
    assert after["RestartCount"] == before["RestartCount"]
    assert share >= 0.99, statuses


def ask_steadily(stack: Stack) -> tuple[Counter[int], list[float]]:
    """Send images for the duration of the attack; return statuses (0: none) and seconds."""
    image = traffic.KNOWN[0].read_bytes()
    headers = {"content-type": "image/png"}
    with (
        httpx2.Client(base_url=stack.guard, timeout=30) as client,
        ThreadPoolExecutor(REQUESTS_PER_SECOND) as threads,
    ):

        def ask(due: float) -> tuple[int, float]:
            try:
                status = client.post("/predict", content=image, headers=headers).status_code
            except httpx2.TransportError:
                status = 0
            return status, time.monotonic() - due

        start, results = time.monotonic(), []
        for number in range(ATTACK_S * REQUESTS_PER_SECOND):
            due = start + number / REQUESTS_PER_SECOND
            time.sleep(max(0, due - time.monotonic()))
            results.append(threads.submit(ask, due))
        answers = [each.result() for each in results]
    return Counter(status for status, _ in answers), [seconds for _, seconds in answers]
