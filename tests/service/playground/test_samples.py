"""The sampled rejections that a key with the role admin may see."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oodguard.service.playground.samples import MAX_SHOWN
from oodguard.service.playground.schemas import SamplesResponse
from tests.service.checks import problem
from tests.service.conftest import Issued, MakeClient
from tests.service.pictures import encode, plain

PNG = encode(plain())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    return folder


@pytest.fixture
def admin(make_secured: MakeClient, folder: Path) -> TestClient:
    return make_secured(sample_rate=1, sample_to=str(folder))


def write_sample(folder: Path, second: int, *, decision: str = "reject", label: str = "red") -> str:
    """Write the files of a sample, and return the name of its image."""
    stem = f"20260101T0000{second:02d}.000000Z-request-0"
    (folder / f"{stem}.png").write_bytes(PNG)
    record = {
        "request_id": "request",
        "time": f"2026-01-01T00:00:{second:02d}Z",
        "model": {"name": "tiny", "version": "1", "sha256": "0"},
        "verdict": {"label": label, "p_value": 0.01, "decision": decision, "scores": {}},
    }
    (folder / f"{stem}.json").write_text(json.dumps(record))
    return f"{stem}.png"


def test_samples_lists_the_newest_rejections(
    admin: TestClient, issued: Issued, folder: Path
) -> None:
    files = [write_sample(folder, second) for second in range(MAX_SHOWN + 3)]
    write_sample(folder, 50, decision="accept")
    (folder / "20260101T000051.000000Z-broken-0.json").write_text("{")
    (folder / "notes.txt").write_text("not a sample")
    response = admin.get("/admin/samples", headers=issued["admin"].headers)
    found = SamplesResponse.model_validate_json(response.content).samples
    assert [each.file for each in found] == files[: -MAX_SHOWN - 1 : -1]
    assert {(each.model, each.label, each.decision) for each in found} == {
        ("tiny", "red", "reject")
    }


def test_sample_image_is_returned_as_it_was_received(
    admin: TestClient, issued: Issued, folder: Path
) -> None:
    file = write_sample(folder, 1)
    response = admin.get(f"/admin/samples/{file}", headers=issued["admin"].headers)
    assert (response.status_code, response.content) == (200, PNG)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    "name",
    [
        "20260101T000001.000000Z-request-0.json",
        "20260101T000002.000000Z-request-0.png",
        "..%2Fkeys.toml",
        "keys.toml",
        "20260101T000001.000000Z-..%2F..%2Fkeys-0.png",
        "20260101T000001.000000Z-request-0.png%0a",
        "20260101T000001.000000Z-request-0.svg",
    ],
)
def test_sample_image_of_another_name_is_404(
    admin: TestClient, issued: Issued, folder: Path, name: str
) -> None:
    write_sample(folder, 1)
    response = admin.get(f"/admin/samples/{name}", headers=issued["admin"].headers)
    problem(response, 404, "not-found")


def test_sample_image_is_not_read_through_a_link(
    admin: TestClient, issued: Issued, folder: Path, key_file: Path
) -> None:
    name = "20260101T000003.000000Z-request-0.png"
    (folder / name).symlink_to(key_file)
    response = admin.get(f"/admin/samples/{name}", headers=issued["admin"].headers)
    problem(response, 404, "not-found")


def test_samples_require_the_role_admin(admin: TestClient, issued: Issued) -> None:
    problem(admin.get("/admin/samples"), 401, "key-missing")
    for role in ("predict", "metrics"):
        response = admin.get("/admin/samples", headers=issued[role].headers)
        problem(response, 403, "role-missing")


def test_samples_have_no_route_without_admin_or_a_store(
    client: TestClient, secured: TestClient, issued: Issued, make_client: MakeClient, folder: Path
) -> None:
    problem(client.get("/admin/samples"), 404, "not-found")
    problem(secured.get("/admin/samples", headers=issued["admin"].headers), 404, "not-found")
    open_service = make_client(sample_rate=1, sample_to=str(folder))
    problem(open_service.get("/admin/samples"), 404, "not-found")
