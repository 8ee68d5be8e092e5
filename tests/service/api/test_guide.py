"""The documentation site at /guide."""

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.settings import Settings
from oodguard.service.settings_conflicts import conflicts
from tests.service.checks import problem
from tests.service.conftest import MakeClient


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "assets").mkdir(parents=True)
    (site / "index.html").write_text("<h1>Guide</h1>", encoding="utf-8")
    (site / "assets" / "a.js").write_text("1", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(site / "pipe")
    return site


@pytest.fixture
def guide(make_client: MakeClient, site: Path) -> TestClient:
    return make_client(guide=site)


def test_guide_serves_the_site_with_a_strict_policy(guide: TestClient) -> None:
    page = guide.get("/guide/")
    assert page.text == "<h1>Guide</h1>"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policies = page.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert "default-src 'none'; script-src 'self';" in policies[0]
    assert guide.get("/guide/assets/a.js").headers["content-type"].startswith("text/javascript")
    again = guide.get("/guide/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_guide_redirects_relative_to_a_proxy(guide: TestClient) -> None:
    response = guide.get("/guide", follow_redirects=False, headers={"host": "evil.example"})
    assert (response.status_code, response.headers["location"]) == (307, "guide/")


@pytest.mark.parametrize(
    "path",
    [
        "nowhere.html",
        "assets",
        "pipe",
        "link.txt",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "assets/..%2f..%2fsecret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "%00",
        "index.html/x",
        "a" * 5000,
        "%ff%fe",
    ],
)
def test_guide_serves_nothing_outside_of_its_folder(path: str, guide: TestClient) -> None:
    problem(guide.get(f"/guide/{path}"), 404, "not-found")


def test_guide_ignores_ranges(guide: TestClient) -> None:
    response = guide.get("/guide/", headers={"range": "bytes=0-1,2-3,999-"})
    assert (response.status_code, response.text) == (200, "<h1>Guide</h1>")


def test_guide_is_absent_without_its_setting(client: TestClient) -> None:
    for path in ("/guide", "/guide/"):
        found = problem(client.get(path), 404, "not-found")
        assert "OODGUARD_GUIDE" in found.detail


def test_guide_needs_no_key(make_secured: MakeClient, site: Path) -> None:
    assert make_secured(guide=site).get("/guide/").status_code == 200


@pytest.mark.parametrize("path", ["/guide", "/guide/"])
def test_guide_that_is_absent_needs_no_key(make_secured: MakeClient, path: str) -> None:
    assert "OODGUARD_GUIDE" in problem(make_secured().get(path), 404, "not-found").detail


def test_guide_without_a_site_is_refused(tmp_path: Path) -> None:
    (conflict,) = conflicts(Settings(guide=tmp_path))
    assert "has no index.html: build the site with make docs" in conflict
