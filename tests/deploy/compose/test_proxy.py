"""Two guards behind the proxy of docker-compose.proxy.yml, and their discovery by Prometheus."""

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.deploy.compose import queries, traffic
from tests.deploy.compose.docker import ROOT, wait_for
from tests.deploy.compose.stack import FOLDER, Stack

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

PROXY = (str(ROOT / "docker-compose.proxy.yml"),)
IMAGES_OF_GUARDS = 'sum by (instance) (oodguard_decisions_total{job="oodguard"})'


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The project with two guards and the proxy, and a client of the proxy."""

    stack: Stack
    client: httpx2.Client

    def predict(self) -> int:
        """Send an image through the proxy and return the status."""
        image = traffic.KNOWN[0].read_bytes()
        headers = {"content-type": "image/png"}
        return self.client.post("/predict", content=image, headers=headers).status_code

    def guards(self) -> list[str]:
        """Return the ids of the guards that are running."""
        return self.stack.compose("ps", "--quiet", "guard", extra=PROXY).split()


@pytest.fixture(scope="module")
def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    _write_certificate(folder)
    if not stack.is_ordinary:
        stack.build(str(FOLDER / "nginx.Dockerfile"), "nginx:1.28.0")
    variables = {
        "PROXY_CERTIFICATE": str(folder / "chain.pem"),
        "PROXY_CERTIFICATE_KEY": str(folder / "key.pem"),
        "PROXY_PORT": str(port),
    }
    proxied = replace(stack, environment={**stack.environment, **variables})
    up = ("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180", "--scale", "guard=2")
    url, tls = (
        f"https://127.0.0.1:{port}/guard",
        ssl.create_default_context(cafile=folder / "chain.pem"),
    )
    try:
        proxied.compose(*up, extra=PROXY)
        with httpx2.Client(base_url=url, verify=tls, timeout=40) as client:
            yield Site(stack=proxied, client=client)
    finally:
        proxied.compose("rm", "--stop", "--force", "proxy", extra=PROXY)
        stack.up()


def _write_certificate(folder: Path) -> None:
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    name = ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "chain.pem")]
    subprocess.run([*request, *name, *files], check=True, capture_output=True)
    # The proxy runs as another user.
    (folder / "key.pem").chmod(0o644)


def test_prometheus_finds_two_guards_and_the_proxy_sends_images_to_both(site: Site) -> None:
    guards = 'count(up{job="oodguard"} == 1)'
    wait_for(lambda: queries.query(site.stack, guards) == [2.0], "two targets", within_s=120)
    assert {site.predict() for _ in range(40)} == {200}

    def both_are_used() -> bool:
        images = queries.query(site.stack, IMAGES_OF_GUARDS)
        return len(images) == 2 and min(images) > 0

    wait_for(both_are_used, "decisions of two guards in Prometheus", within_s=30)


def test_replicas_have_separate_evidence(site: Site) -> None:
    listing = ("exec", "--no-TTY", "guard", "ls", "/var/lib/oodguard/state")
    assert "replica-2" in site.stack.compose(*listing, extra=PROXY)


def test_proxy_in_the_project_has_the_limits_of_its_configuration(site: Site) -> None:
    assert site.client.get("/metrics").status_code == 404
    assert site.client.get("/admin/models/reload").status_code == 404
    headers = {"content-type": "image/png"}
    large = bytes(16 * 2**20 + 1)
    assert site.client.post("/predict", content=large, headers=headers).status_code == 413


def test_no_request_fails_while_one_of_two_guards_is_stopped(site: Site) -> None:
    stopped = site.guards()[1]
    with subprocess.Popen(
        ["docker", "stop", "--time", "40", stopped],
        env=site.stack.environment,
        stdout=subprocess.DEVNULL,
    ) as stop:
        statuses = [site.predict() for _ in range(10)]
        while stop.poll() is None:
            statuses.append(site.predict())
    statuses += [site.predict() for _ in range(50)]
    assert site.stack.inspect(stopped)["State"]["ExitCode"] == 0
    assert set(statuses) == {200}
