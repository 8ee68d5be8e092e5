"""The project with three guards behind the proxy of docker-compose.proxy.yml."""

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2

from benchmarks.serving.processes import free_port
from tests.deploy.compose import traffic
from tests.deploy.compose.docker import ROOT
from tests.deploy.compose.stack import FOLDER, PROJECT, Stack
from tests.deploy.fleet_load import FleetLoad
from tests.service.checks import metric

PROXY = (str(ROOT / "docker-compose.proxy.yml"),)
REPLICAS = 3
NETWORK = f"{PROJECT}_default"
PNG = {"content-type": "image/png"}

# The guards are not published.
READ_METRICS = (
    "import sys, urllib.request as r;"
    "sys.stdout.buffer.write(r.urlopen('http://127.0.0.1:8000/metrics').read())"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The project, and a client of the proxy."""

    stack: Stack
    client: httpx2.Client
    tls: ssl.SSLContext

    def up(self) -> None:
        """Start the guards that are missing, and wait until all are healthy."""
        options = ("--detach", "--no-build", "--no-recreate", "--wait", "--wait-timeout", "180")
        self.stack.compose("up", *options, "--scale", f"guard={REPLICAS}", extra=PROXY)

    def predict(self) -> int:
        """Send an image through the proxy and return the status."""
        image = traffic.KNOWN[0].read_bytes()
        return self.client.post("/predict", content=image, headers=PNG).status_code

    def guards(self) -> list[str]:
        """Return the ids of the guards that are running."""
        return self.stack.compose("ps", "--quiet", "guard", extra=PROXY).split()

    def rejected_image(self) -> bytes:
        """Return an image that is rejected."""
        for each in traffic.UNKNOWN:
            image = each.read_bytes()
            answer = self.client.post("/predict", content=image, headers=PNG).json()
            if answer["predictions"][0]["decision"] == "reject":
                return image
        raise AssertionError("no image is rejected")

    def load(self) -> FleetLoad:
        """Return the load of clients that give up before the proxy does."""
        url = f"{self.client.base_url}".rstrip("/") + "/predict"
        body = self.rejected_image()
        return FleetLoad(
            url=url, body=body, headers=PNG, timeout_s=8, pause_s=0.05, verify=self.tls
        )

    def rejected(self, guard: str) -> float:
        """Return the rejections of a guard since its start."""
        text = self.stack.docker("exec", guard, "python", "-c", READ_METRICS)
        return metric(text, "oodguard_decisions_total", decision="reject")


@contextmanager
def open_site(stack: Stack, folder: Path) -> Iterator[Site]:
    """Start the guards and the proxy; leave one guard and no proxy."""
    port = free_port()
    _write_certificate(folder)
    if not stack.is_ordinary:
        stack.build(str(FOLDER / "nginx.Dockerfile"), "nginx:1.28.0")
    variables = {
        "PROXY_CERTIFICATE": str(folder / "chain.pem"),
        "PROXY_CERTIFICATE_KEY": str(folder / "key.pem"),
        "PROXY_PORT": str(port),
    }
    proxied = replace(stack, environment={**stack.environment, **variables})
    up = ("up", "--detach", "--no-build", "--wait", "--wait-timeout", "180")
    tls = ssl.create_default_context(cafile=folder / "chain.pem")
    try:
        proxied.compose(*up, "--scale", f"guard={REPLICAS}", extra=PROXY)
        url = f"https://127.0.0.1:{port}/guard"
        with httpx2.Client(base_url=url, verify=tls, timeout=40) as client:
            yield Site(stack=proxied, client=client, tls=tls)
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
