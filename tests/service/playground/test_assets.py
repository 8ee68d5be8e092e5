"""The page and its files: headers, caching, size, and what the page may not contain."""

import gzip
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.playground.assets import FOLDER, read_assets
from tests.service.checks import problem
from tests.service.conftest import MakeClient

TEXTS = sorted(each for each in FOLDER.iterdir() if each.suffix in {".html", ".css", ".js"})


def test_playground_page_has_a_strict_policy(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        each.strip().split(" ", 1) for each in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert page.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_playground_files_have_no_inline_code_and_no_outside_address(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"\bon[a-z]+=[\"']|\bstyle=|<style|<script>|javascript:", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", text)
    # The only address is the name of the SVG namespace.
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.]+\.[a-z]+[^\s\"']*", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def test_playground_page_loads_files_that_exist(client: TestClient) -> None:
    loaded = set(re.findall(r'(?:src|href)="(playground/[^"]+)"', client.get("/").text))
    for file in TEXTS:
        imported = re.findall(r'from "\./([^"]+)"', file.read_text(encoding="utf-8"))
        loaded |= {f"playground/{name}" for name in imported}
    assert len(loaded) > 10
    for path in loaded:
        assert client.get(f"/{path}").status_code == 200, path


def test_playground_file_is_compressed_and_validated(client: TestClient) -> None:
    path = "/playground/app.js"
    whole = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in whole.headers
    packed = client.get(path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == whole.content == (FOLDER / "app.js").read_bytes()
    refused = client.get(path, headers={"accept-encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    etag = whole.headers["etag"]
    assert packed.headers["etag"] == etag
    for header in (etag, f'W/{etag}, "other"', "*"):
        known = client.get(path, headers={"if-none-match": header})
        assert (known.status_code, known.content) == (304, b""), header
        assert known.headers["etag"] == etag
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_playground_answers_404_for_an_unknown_file(client: TestClient) -> None:
    for name in ("none.js", "..%2f..%2fsettings.py", "examples%2Fship.png", "%00", "a" * 3000):
        problem(client.get(f"/playground/{name}"), 404, "not-found")


def test_playground_is_smaller_than_150_kb_compressed() -> None:
    assets = read_assets()
    sizes = {
        name: len(gzip.compress(asset.content, 9))
        for name, asset in assets.items()
        if not name.endswith(".png")
    }
    assert len(sizes) > 12
    assert sum(sizes.values()) < 150_000


def test_playground_file_names_are_unique() -> None:
    files = [each for each in FOLDER.rglob("*") if each.is_file()]
    assert len(read_assets()) == len(files)


def test_playground_config_states_what_the_page_needs_before_it_has_a_key(
    client: TestClient, make_secured: MakeClient, tmp_path: Path
) -> None:
    limits = {"max_images": 256, "max_body_bytes": 16 * 2**20}
    plain = {"keys": False, "detail": "full", "samples": False, "guide": False}
    assert client.get("/playground/config").json() == plain | limits
    (tmp_path / "index.html").touch()
    secured = make_secured(
        detail="verdict",
        sample_rate=1,
        sample_to=str(tmp_path / "samples"),
        guide=tmp_path,
        max_images=8,
        max_body_bytes=1000,
    )
    known = {"keys": True, "detail": "verdict", "samples": True, "guide": True}
    known |= {"max_images": 8, "max_body_bytes": 1000}
    assert secured.get("/playground/config").json() == known


def test_playground_setting_removes_every_route_of_it(make_client: MakeClient) -> None:
    client = make_client(playground=False)
    for path in ("/", "/playground/app.js", "/playground/config"):
        problem(client.get(path), 404, "not-found")
    problem(client.get("/models/tiny/versions/1/thresholds"), 404, "not-found")
    problem(client.post("/models/tiny/versions/1/inspect", content=b""), 404, "not-found")
    assert client.get("/docs").status_code == 200
