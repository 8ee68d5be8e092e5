"""What ends and what stays: a drain, a kill, and `down` followed by `up`."""

import json
import subprocess
import time

import pytest

from tests.deploy.lane import asking, renewing, traffic
from tests.deploy.lane.docker import LANE
from tests.deploy.lane.stack import IMAGE, PROJECT, Stack
from tests.deploy.lane.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

CLIENT = LANE / "client.py"
EVIDENCE = "oodguard_rejection_log_martingale"


def test_sigterm_drains_and_no_request_fails(stack: Stack) -> None:
    stack.up()
    in_network = ["--network", f"{PROJECT}_default", "--entrypoint", "python"]
    with (
        CLIENT.open() as script,
        subprocess.Popen(
            ["docker", "run", "--rm", "--interactive", *in_network, IMAGE, "-", "guard", "60"],
            env=stack.environment,
            stdin=script,
            stdout=subprocess.PIPE,
            text=True,
        ) as client,
    ):
        assert client.stdout is not None
        assert client.stdout.readline() == "sending\n"
        time.sleep(3)
        stack.compose("stop", "guard")
        told = json.loads(client.stdout.read())
    assert told["failed"] == []
    assert told["ready"] == 503
    assert told["answered"] >= 20
    assert stack.inspect("guard")["State"]["ExitCode"] == 0


def test_a_killed_guard_is_started_again_also_after_it_was_told_to_reload(stack: Stack) -> None:
    stack.up()
    renewing.tell(stack)
    before = stack.inspect("guard")
    _kill(stack, before["State"]["Pid"])
    wait_for(
        lambda: stack.inspect("guard")["RestartCount"] == before["RestartCount"] + 1,
        "a restart",
        within_s=30,
    )
    stack.wait_until_healthy("guard")
    assert traffic.ask(stack, traffic.KNOWN[0]) in {"accept", "reject"}


def test_what_was_seen_survives_down_and_up(stack: Stack) -> None:
    stack.up()
    list(traffic.steadily(stack, traffic.UNKNOWN, a_second=20, for_s=4))
    time.sleep(3)  # evidence is gathered once a second
    evidence, began = asking.gauge(stack, EVIDENCE), time.time()
    assert evidence != 0
    wait_for(lambda: asking.now(stack, EVIDENCE) == [evidence], "a scrape", within_s=20)
    stack.compose("down")
    stack.up()
    assert asking.gauge(stack, EVIDENCE) == pytest.approx(evidence)
    assert asking.now(stack, "count(oodguard_decisions_total)", at=began) != []


def _kill(stack: Stack, pid: int) -> None:
    """End a process as the kernel does; `docker kill` would count as the operator's wish."""
    ended = "import os, sys; os.kill(int(sys.argv[1]), 9)"
    as_itself = ["--pid", "host", "--user", "10001:10001", "--entrypoint", "python"]
    stack.docker("run", "--rm", *as_itself, IMAGE, "-c", ended, str(pid))
