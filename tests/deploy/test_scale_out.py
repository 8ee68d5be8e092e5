"""Three replicas behind nginx under load: a rolling replacement, one killed, one cut off."""

import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
import numpy as np
import pytest

from benchmarks.serving.processes import free_port
from tests.deploy.fleet_load import CLIENTS, FleetLoad, answered
from tests.deploy.proxies import PAGE
from tests.e2e.conftest import is_ready, start, wait_until
from tests.service.checks import metric
from tests.service.graphs import SIZE
from tests.service.tiny import write_tiny

pytestmark = pytest.mark.slow

BODY = np.full((1, SIZE, SIZE, 3), 255, np.uint8).tobytes()
HEADERS = {"Content-Type": "application/octet-stream", "X-Shape": f"1,{SIZE},{SIZE},3"}
REPLICAS = 3

CONFIGURATION = """
daemon off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {upstream}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://guard;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 2s;
      proxy_read_timeout 5s;
      {retry}
    }}
  }}
}}
"""


@dataclass
class Fleet:
    """The replicas, and the proxy in front of them."""

    folder: Path
    url: str
    ports: list[int]
    replicas: dict[int, subprocess.Popen[str]] = field(default_factory=dict)

    def begin(self, port: int) -> None:
        """Start a replica, and wait until it is ready."""
        settings = {"OODGUARD_WORKERS": 1}
        log = self.folder / f"{port}.log"
        self.replicas[port] = start(self.folder / "tiny", log, settings, port)
        wait_until(partial(is_ready, f"http://127.0.0.1:{port}"))

    def kill(self, port: int) -> None:
        """Kill a replica, whose socket the system closes."""
        self.replicas[port].kill()
        self.replicas[port].wait()

    def end(self) -> None:
        """Kill all replicas."""
        for each in self.replicas:
            self.kill(each)

    def rejected(self) -> float:
        """Return the rejections of all replicas."""
        return sum(map(self.rejected_by, self.ports))

    def rejected_by(self, port: int) -> float:
        """Return the rejections of a replica; every image of the load is rejected."""
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
        return metric(text, "oodguard_decisions_total", decision="reject")

    def wait_until_used(self, port: int) -> None:
        """Wait, under load, until the proxy uses a replica again: for `fail_timeout` it does not.

        If every replica failed once within that time, the proxy uses none.
        """
        before = self.rejected_by(port)
        wait_until(lambda: self.rejected_by(port) > before)

    def load(self) -> AbstractContextManager[Counter[int]]:
        """Send requests during the block; count the responses by status, 0 for none."""
        return FleetLoad(url=f"{self.url}/predict", body=BODY, headers=HEADERS).sent()


def only_begun_responses_are_lost(statuses: Counter[int]) -> bool:
    """Return whether all requests succeeded, but one of each client at most, which got no response.

    nginx cannot repeat a request whose response it has begun to send.
    """
    return set(statuses) <= {0, 200} and statuses[0] <= CLIENTS


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install nginx")
    folder = tmp_path_factory.mktemp("fleet")
    write_tiny(folder / "tiny")
    port, *ports = (free_port() for _ in range(1 + REPLICAS))
    servers = " ".join(f"server 127.0.0.1:{each} max_fails=1 fail_timeout=3s;" for each in ports)
    text = CONFIGURATION.format(
        folder=folder,
        port=port,
        upstream=f"upstream guard {{ {servers} keepalive 32; keepalive_timeout 4s; }}",
        retry=documented_retry(),
    )
    (folder / "nginx.conf").write_text(text)
    found = Fleet(folder, f"http://127.0.0.1:{port}", ports)
    with ExitStack() as stack:
        stack.callback(found.end)
        for each in ports:
            found.begin(each)
        command = [nginx, "-c", f"{folder}/nginx.conf", "-p", str(folder)]
        proxy = stack.enter_context(subprocess.Popen(command))
        stack.callback(proxy.terminate)
        wait_until(partial(is_ready, found.url))
        yield found


def documented_retry() -> str:
    """Return the line of the page that repeats requests."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    (line,) = [each.strip() for each in lines if "non_idempotent" in each and each.endswith(";")]
    return line


def test_fleet_rejections_are_the_sum_over_the_replicas(fleet: Fleet) -> None:
    before = fleet.rejected()
    with fleet.load() as statuses:
        answered(statuses, 100)
    assert set(statuses) == {200}
    assert fleet.rejected() - before == statuses.total()


def test_fleet_loses_no_request_in_a_rolling_replacement(fleet: Fleet) -> None:
    with fleet.load() as statuses:
        for port in fleet.ports:
            fleet.replicas[port].terminate()
            assert fleet.replicas[port].wait(60) == 0
            fleet.begin(port)
            fleet.wait_until_used(port)
    assert set(statuses) == {200}


def test_fleet_loses_only_begun_responses_when_a_replica_is_killed(fleet: Fleet) -> None:
    port = fleet.ports[0]
    with fleet.load() as statuses:
        answered(statuses, 50)
        fleet.kill(port)
        answered(statuses, 100)
        fleet.begin(port)
        fleet.wait_until_used(port)
    assert only_begun_responses_are_lost(statuses)


def test_fleet_loses_only_begun_responses_when_a_replica_is_cut_off(fleet: Fleet) -> None:
    stopped = fleet.replicas[fleet.ports[1]]
    with fleet.load() as statuses:
        answered(statuses, 50)
        stopped.send_signal(signal.SIGSTOP)
        answered(statuses, 200)
        stopped.send_signal(signal.SIGCONT)
        fleet.wait_until_used(fleet.ports[1])
    assert only_begun_responses_are_lost(statuses)
