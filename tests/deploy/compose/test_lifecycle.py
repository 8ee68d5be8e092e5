"""The compose project drains on stop, restarts after a kill, and keeps its data."""

import json
import subprocess
import time

import pytest

from tests.deploy.compose import queries, traffic
from tests.deploy.compose.docker import wait_for
from tests.deploy.compose.stack import FOLDER, IMAGE, PROJECT, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

EVIDENCE = "oodguard_rejection_log_martingale"


def test_stop_drains_without_a_failed_request(stack: Stack) -> None:
    stack.up()
    in_network = ["--network", f"{PROJECT}_default", "--entrypoint", "python"]
    with (
        (FOLDER / "drain_client.py").open() as script,
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
        report = json.loads(client.stdout.read())
    assert report["failed"] == []
    assert report["ready"] == 503
    assert report["answered"] >= 20
    assert stack.inspect_service("guard")["State"]["ExitCode"] == 0


def test_killed_guard_is_restarted_even_after_a_reload(stack: Stack) -> None:
    stack.up()
    stack.reload()
    before = stack.inspect_service("guard")
    _kill(stack, before["State"]["Pid"])
    wait_for(
        lambda: stack.inspect_service("guard")["RestartCount"] == before["RestartCount"] + 1,
        "a restart",
        within_s=30,
    )
    stack.wait_until_healthy(stack.container("guard"))
    assert traffic.decide(stack, traffic.KNOWN[0]) in {"accept", "reject"}


def test_drift_evidence_and_metrics_survive_down_and_up(stack: Stack) -> None:
    stack.up()
    list(traffic.send_steadily(stack, traffic.UNKNOWN, per_second=20, for_s=4))
    time.sleep(3)  # evidence is updated once per second
    evidence, start = queries.gauge(stack, EVIDENCE), time.time()
    assert evidence != 0
    wait_for(lambda: queries.query(stack, EVIDENCE) == [evidence], "a scrape", within_s=20)
    stack.compose("down")
    stack.up()
    assert queries.gauge(stack, EVIDENCE) == pytest.approx(evidence)
    assert queries.query(stack, "count(oodguard_decisions_total)", at=start) != []


def _kill(stack: Stack, pid: int) -> None:
    """Kill a process from another container; `docker kill` would disable the restart policy."""
    kill = "import os, sys; os.kill(int(sys.argv[1]), 9)"
    as_itself = ["--pid", "host", "--user", "10001:10001", "--entrypoint", "python"]
    stack.docker("run", "--rm", *as_itself, IMAGE, "-c", kill, str(pid))
