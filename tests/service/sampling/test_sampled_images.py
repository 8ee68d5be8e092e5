import base64
import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oodguard.service.sampling.stores import FolderStore
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, WHITE, encode, plain
from tests.service.sampling.conftest import Location

PNG = {"content-type": "image/png"}


def predict(client: TestClient, **request: Any) -> None:
    response = client.post("/predict", **request)
    assert response.status_code == 200, response.text


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of all samples by request and image."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda each: (each["request_id"], each["image"]))


def outcomes(client: TestClient) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "oodguard_samples_total"
    }


def test_samples_store_rejected_images_as_received(
    make_client: MakeClient, location: Location
) -> None:
    client = make_client(sample_rate=1, sample_to=location.to)
    png, jpeg, webp = (encode(plain(WHITE), kind) for kind in ("PNG", "JPEG", "WEBP"))
    accepted = encode(plain(BLACK))
    files = [("files", (f"{n}", data)) for n, data in enumerate([accepted, png, accepted, webp])]
    predict(client, files=files, headers={"x-request-id": "1-files"})
    texts = [base64.b64encode(each).decode() for each in (jpeg, accepted)]
    predict(client, json={"images": texts}, headers={"x-request-id": "2-json"})
    predict(client, content=png, headers={**PNG, "x-request-id": "3-raw"})
    pixels = np.full((2, 16, 16, 3), 255, np.uint8)
    pixels[0] = 0
    pixels[1, 0, 0] = (1, 2, 3)
    headers = {"content-type": "application/octet-stream", "x-shape": "2,16,16,3"}
    predict(client, content=pixels.tobytes(), headers={**headers, "x-request-id": "4-pixels"})
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


def test_samples_store_tensor_images_as_png(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "samples"))
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 255
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 8, 8, 3]}
    request = {"inputs": [{**tensor, "data": pixels.ravel().tolist()}]}
    assert client.post("/v2/models/tiny/infer", json=request).status_code == 200
    client.__exit__()
    (record,) = records(tmp_path / "samples")
    assert record["image"] == 1
    assert (np.asarray(Image.open(tmp_path / "samples" / record["file"])) == pixels[1]).all()


def test_sample_record_has_model_policy_and_verdict(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "samples"), alpha=0.2)
    answer = client.post("/predict", content=encode(plain(WHITE)), headers=PNG).json()
    client.__exit__()
    (record,) = records(tmp_path / "samples")
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
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "samples"), detail="verdict")
    predict(client, content=encode(plain(WHITE)), headers=PNG)
    client.__exit__()
    (record,) = records(tmp_path / "samples")
    assert record["verdict"]["scores"] == {"brightness": 255, "darkness": -255}
    assert record["policy"]["threshold"] < 255


def test_samples_stay_in_their_folder_for_any_request_id(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "samples" / "here"))
    for request_id in ("../../outside", "..", "a/b", "a\x00b"):
        predict(client, content=encode(plain(WHITE)), headers={**PNG, "x-request-id": request_id})
    client.__exit__()
    assert len(records(tmp_path / "samples" / "here")) == 4
    assert [each.name for each in (tmp_path / "samples").iterdir()] == ["here"]


def test_sampling_is_off_by_default(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(sample_to=str(tmp_path / "samples"))
    predict(client, content=encode(plain(WHITE)), headers=PNG)
    assert outcomes(client) == {"kept": 0, "dropped": 0, "failed": 0}
    assert "samples" not in {thread.name for thread in threading.enumerate()}
    client.__exit__()
    assert not (tmp_path / "samples").exists()


def test_samples_are_limited_in_number(make_client: MakeClient, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    client = make_client(sample_rate=1, sample_to=str(folder), sample_max_images=3)
    for number in range(5):
        predict(client, content=encode(plain(WHITE)), headers={**PNG, "x-request-id": f"r{number}"})
    client.__exit__()
    assert [each["request_id"] for each in records(folder)] == ["r2", "r3", "r4"]
    assert len([*FolderStore(folder).list_files()]) == 6
