"""The page, its files, the description of the API and the guide behind nginx, at /guard/."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from benchmarks.serving.processes import free_port
from tests.browser.conftest import GUIDE, OpenPage
from tests.browser.services import ROOT, serving
from tests.e2e.conftest import wait_until

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import example, expect_decisions, message, usable

pytestmark = pytest.mark.slow

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def write_configuration(folder: Path, port: int, guard_port: int) -> Path:
    """Write docker/proxy/nginx.conf with these ports, and a certificate for it."""
    files = ["-keyout", f"{folder}/proxy_certificate_key", "-out", f"{folder}/proxy_certificate"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command = ["openssl", "req", "-x509", *curve, "-nodes", "-subj", "/CN=localhost", *files]
    subprocess.run(command, check=True, capture_output=True)
    text = (ROOT / "docker" / "proxy" / "nginx.conf").read_text(encoding="utf-8")
    for shipped, local in {
        "/tmp/": f"{folder}/",  # noqa: S108 - the shipped text
        "listen 8443 ssl": f"listen 127.0.0.1:{port} ssl",
        "set $guard guard:8000": f"set $guard 127.0.0.1:{guard_port}",
        "/run/secrets/": f"{folder}/",
        "/dev/stderr": f"{folder}/error.log",
        "/dev/stdout": f"{folder}/access.log",
    }.items():
        assert shipped in text
        text = text.replace(shipped, local)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    return folder / "nginx.conf"


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", verify=False).is_success
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service behind the proxy."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("proxy")
    (folder / "service").mkdir()
    port, guard_port = free_port(), free_port()
    options = ["-c", str(write_configuration(folder, port, guard_port)), "-p", str(folder)]
    directives = ["-g", "daemon off; user root;"]
    guide = {"guide": GUIDE} if (GUIDE / "index.html").is_file() else {}
    with (
        serving(folder / "service", port=guard_port, root_path="/guard", **guide),
        subprocess.Popen([NGINX, *options, *directives], stderr=subprocess.DEVNULL) as proxy,
    ):
        found = f"https://127.0.0.1:{port}/guard"
        try:
            wait_until(lambda: proxy.poll() is not None or answers(found))
            assert proxy.poll() is None, (folder / "error.log").read_text()
            yield found
        finally:
            proxy.terminate()


# The proxy answers 404 to clients from outside that read /metrics.
BEHIND: dict[str, Any] = {"ignore_https_errors": True, "expected": "status of 404"}


@pytest.mark.parametrize("end", ["/", ""])
def test_playground_works_behind_a_path_prefix(open_page: OpenPage, url: str, end: str) -> None:
    page = open_page(f"{url}{end}", **BEHIND)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    usable(page)
    example(page, "A hand, attacked").click()
    expect_decisions(page, aloe="Reject", standard="Accept")
    page.get_by_role("button", name="Why?").first.click()
    expect(page.locator(".why").first).to_contain_text("score")
    expect(message(page)).to_be_hidden()
    assert sent
    assert [each for each in sent if not each.startswith((f"{url}/", "blob:"))] == []


def test_playground_leads_to_the_api_description_behind_a_path_prefix(
    open_page: OpenPage, url: str
) -> None:
    page = open_page(f"{url}/", **BEHIND)
    usable(page)
    page.get_by_role("link", name="API", exact=True).click()
    expect(page).to_have_url(f"{url}/docs")
    expect(page.get_by_text("/predict", exact=True).first).to_be_visible()


def test_guide_opens_behind_a_path_prefix(open_page: OpenPage, url: str) -> None:
    if not (GUIDE / "index.html").is_file():
        pytest.skip("the documentation site is missing: make docs")
    page = open_page(f"{url}/guide", **BEHIND)
    page.get_by_role("link", name="First verdict").first.click()
    expect(page).to_have_url(re.compile(rf"^{re.escape(url)}/guide/start\.html"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
