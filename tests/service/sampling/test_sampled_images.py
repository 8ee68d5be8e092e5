import base64
import io
import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oodguard.service.sampling.stores import FolderStore
from tests.service.checks import metric, post
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, WHITE, encode, plain
from tests.service.sampling.conftest import Location

REJECTED = encode(plain(WHITE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "samples"


@pytest.fixture
def make_sampling_client(make_client: MakeClient, folder: Path) -> MakeClient:
    """Make a client of a service that stores every rejected image in `folder`."""
    return partial(make_client, sample_rate=1, sample_to=str(folder))


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of all samples by request and image."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda each: (each["request_id"], each["image"]))


def test_samples_are_rejected_images_unchanged(make_client: MakeClient, location: Location) -> None:
    client = make_client(sample_rate=1, sample_to=location.to)
    png, jpeg, webp = (encode(plain(WHITE), kind) for kind in ("PNG", "JPEG", "WEBP"))
    accepted = encode(plain(BLACK))
    files = [("files", (f"{n}", data)) for n, data in enumerate([accepted, png, accepted, webp])]
    client.post("/predict", files=files, headers={"x-request-id": "1-files"})
    texts = [base64.b64encode(each).decode() for each in (jpeg, accepted)]
    client.post("/predict", json={"images": texts}, headers={"x-request-id": "2-json"})
    post(client, png, **{"x-request-id": "3-raw"})
    pixels = np.full((2, 16, 16, 3), 255, np.uint8)
    pixels[0] = 0
    pixels[1, 0, 0] = (1, 2, 3)
    raw = {"x-shape": "2,16,16,3", "x-request-id": "4-pixels"}
    post(client, pixels.tobytes(), "application/octet-stream", **raw)
    # The shutdown waits for the samples.
    client.__exit__()
    found = records(location.folder)
    kept = [(each["request_id"], each["image"], each["file"]) for each in found]
    assert [(request, image, file.rpartition(".")[2]) for request, image, file in kept] == [
        ("1-files", 1, "png"),
        ("1-files", 3, "webp"),
        ("2-json", 0, "jpeg"),
        ("3-raw", 0, "png"),
        ("4-pixels", 1, "png"),
    ]
    written = [(location.folder / file).read_bytes() for _, _, file in kept]
    assert written[:4] == [png, webp, jpeg, png]
    assert (np.asarray(Image.open(io.BytesIO(written[4]))) == pixels[1]).all()
    assert len(list(location.folder.iterdir())) == 10


def test_samples_store_tensor_images_as_png(make_sampling_client: MakeClient, folder: Path) -> None:
    client = make_sampling_client()
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 255
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 8, 8, 3]}
    request = {"inputs": [{**tensor, "data": pixels.ravel().tolist()}]}
    assert client.post("/v2/models/tiny/infer", json=request).status_code == 200
    client.__exit__()
    (record,) = records(folder)
    assert record["image"] == 1
    assert (np.asarray(Image.open(folder / record["file"])) == pixels[1]).all()


def test_sample_record_has_model_policy_and_verdict(
    make_sampling_client: MakeClient, folder: Path
) -> None:
    client = make_sampling_client(alpha=0.2)
    answer = post(client, REJECTED).json()
    client.__exit__()
    (record,) = records(folder)
    assert record.pop("time").endswith("Z")
    assert record.pop("file").endswith(f"-{answer['request_id']}-0.png")
    assert record == {
        "request_id": answer["request_id"],
        "image": 0,
        "model": answer["model"],
        "policy": answer["policy"],
        "verdict": answer["predictions"][0],
    }


def test_sample_record_is_complete_for_detail_verdict(
    make_sampling_client: MakeClient, folder: Path
) -> None:
    client = make_sampling_client(detail="verdict")
    post(client, REJECTED)
    client.__exit__()
    (record,) = records(folder)
    assert record["verdict"]["scores"] == {"brightness": 255, "darkness": -255}
    assert record["policy"]["threshold"] < 255


def test_samples_stay_in_their_folder_for_any_request_id(
    make_sampling_client: MakeClient, folder: Path
) -> None:
    client = make_sampling_client(sample_to=str(folder / "here"))
    for request_id in ("../../outside", "..", "a/b", "a\x00b"):
        post(client, REJECTED, **{"x-request-id": request_id})
    client.__exit__()
    assert len(records(folder / "here")) == 4
    assert [each.name for each in folder.iterdir()] == ["here"]


def test_sampling_is_off_by_default(make_client: MakeClient, folder: Path) -> None:
    client = make_client(sample_to=str(folder))
    post(client, REJECTED)
    assert metric(client.get("/metrics").text, "oodguard_samples_total") == 0
    assert "samples" not in {thread.name for thread in threading.enumerate()}
    client.__exit__()
    assert not folder.exists()


def test_accepted_and_rejected_samples_share_the_limit(
    make_sampling_client: MakeClient, folder: Path
) -> None:
    client = make_sampling_client(sample_accept_rate=1, sample_max_images=3)
    for number, colour in enumerate((WHITE, BLACK, WHITE, BLACK)):
        post(client, encode(plain(colour)), **{"x-request-id": f"r{number}"})
    client.__exit__()
    found = [(each["request_id"], each["verdict"]["decision"]) for each in records(folder)]
    assert found == [("r1", "accept"), ("r2", "reject"), ("r3", "accept")]


def test_samples_are_limited_in_number(make_sampling_client: MakeClient, folder: Path) -> None:
    client = make_sampling_client(sample_max_images=3)
    for number in range(5):
        post(client, REJECTED, **{"x-request-id": f"r{number}"})
    client.__exit__()
    assert [each["request_id"] for each in records(folder)] == ["r2", "r3", "r4"]
    assert len([*FolderStore(folder).list_files()]) == 6
