"""Some of what is rejected is kept, as it came and with its verdict; no request waits for that."""

import base64
import io
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from models.guard import Verdict
from service.deployments.served import ServedModel
from service.payloads.types import Body, Limits
from service.samples import sampler as sampler_module
from service.samples.errors import StoreFailed
from service.samples.folder import FolderStore
from service.samples.metrics import SampleMetrics
from service.samples.sampler import Sampler
from service.samples.shelf import Shelf
from service.samples.store import Store
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, WHITE, encode, plain
from tests.service.samples.conftest import Place
from tests.service.samples.test_shelf import Clock, Memory

LIMITS = Limits(max_body_bytes=10_000, max_images=8, max_pixels=1000)
PNG = {"content-type": "image/png"}


def judge(client: TestClient, **sent: Any) -> None:
    response = client.post("/predict", **sent)
    assert response.status_code == 200, response.text


def records(folder: Path) -> list[dict[str, Any]]:
    """What is written of each sample, by request and image."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda each: (each["request_id"], each["image"]))


def outcomes(client: TestClient) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "oodguard_samples_total"
    }


def test_rejected_images_are_kept_as_they_came_whichever_way_they_came(
    make_client: MakeClient, place: Place
) -> None:
    client = make_client(sample_rate=1, sample_to=place.to)
    png, jpeg, webp = (encode(plain(WHITE), kind) for kind in ("PNG", "JPEG", "WEBP"))
    accepted = encode(plain(BLACK))
    files = [("files", (f"{n}", data)) for n, data in enumerate([accepted, png, accepted, webp])]
    judge(client, files=files, headers={"x-request-id": "1-files"})
    texts = [base64.b64encode(each).decode() for each in (jpeg, accepted)]
    judge(client, json={"images": texts}, headers={"x-request-id": "2-json"})
    judge(client, content=png, headers={**PNG, "x-request-id": "3-raw"})
    pixels = np.full((2, 16, 16, 3), 255, np.uint8)
    pixels[0] = 0
    pixels[1, 0, 0] = (1, 2, 3)
    headers = {"content-type": "application/octet-stream", "x-shape": "2,16,16,3"}
    judge(client, content=pixels.tobytes(), headers={**headers, "x-request-id": "4-pixels"})
    # The end of the app waits for the samples.
    client.__exit__()
    found = records(place.folder)
    kept = [(each["request_id"], each["image"], each["file"]) for each in found]
    assert [(request, image, file.rpartition(".")[2]) for request, image, file in kept] == [
        ("1-files", 1, "png"),
        ("1-files", 3, "webp"),
        ("2-json", 0, "jpeg"),
        ("3-raw", 0, "png"),
        ("4-pixels", 1, "png"),
    ]
    written = [(place.folder / file).read_bytes() for _, _, file in kept]
    assert written[:4] == [png, webp, jpeg, png]
    assert (np.asarray(Image.open(io.BytesIO(written[4]))) == pixels[1]).all()
    assert len(list(place.folder.iterdir())) == 10


def test_images_that_came_as_a_tensor_are_kept_as_well(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "looks"))
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    pixels[1] = 255
    tensor = {"name": "images", "datatype": "UINT8", "shape": [2, 8, 8, 3]}
    asked = {"inputs": [{**tensor, "data": pixels.ravel().tolist()}]}
    assert client.post("/v2/models/tiny/infer", json=asked).status_code == 200
    client.__exit__()
    (record,) = records(tmp_path / "looks")
    assert record["image"] == 1
    assert (np.asarray(Image.open(tmp_path / "looks" / record["file"])) == pixels[1]).all()


def test_the_record_says_what_was_decided_by_whom_and_when(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "looks"), alpha=0.2)
    answer = client.post("/predict", content=encode(plain(WHITE)), headers=PNG).json()
    client.__exit__()
    (record,) = records(tmp_path / "looks")
    assert record.pop("time").endswith("Z")
    assert record.pop("file").endswith(f"-{answer['request_id']}-0.png")
    assert record == {
        "request_id": answer["request_id"],
        "image": 0,
        "model": answer["model"],
        "policy": answer["policy"],
        "verdict": answer["predictions"][0],
    }


def test_answers_that_withhold_scores_do_not_withhold_them_from_the_record(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "looks"), detail="verdict")
    judge(client, content=encode(plain(WHITE)), headers=PNG)
    client.__exit__()
    (record,) = records(tmp_path / "looks")
    assert record["verdict"]["scores"] == {"brightness": 255, "darkness": -255}
    assert record["policy"]["threshold"] < 255


def test_an_id_that_would_leave_the_folder_is_no_name(
    make_client: MakeClient, tmp_path: Path
) -> None:
    client = make_client(sample_rate=1, sample_to=str(tmp_path / "looks" / "here"))
    for offered in ("../../outside", "..", "a/b", "a\x00b"):
        judge(client, content=encode(plain(WHITE)), headers={**PNG, "x-request-id": offered})
    client.__exit__()
    assert len(records(tmp_path / "looks" / "here")) == 4
    assert [each.name for each in (tmp_path / "looks").iterdir()] == ["here"]


def test_nothing_is_kept_by_default(make_client: MakeClient, tmp_path: Path) -> None:
    client = make_client(sample_to=str(tmp_path / "looks"))
    judge(client, content=encode(plain(WHITE)), headers=PNG)
    assert outcomes(client) == {"kept": 0, "dropped": 0, "failed": 0}
    assert "samples" not in {thread.name for thread in threading.enumerate()}
    client.__exit__()
    assert not (tmp_path / "looks").exists()


class Chance(random.Random):
    """Chance that is known before."""

    def __init__(self, *drawn: float) -> None:
        super().__init__()
        self._drawn = list(drawn)

    def random(self) -> float:
        return self._drawn.pop(0)


def verdicts(decisions: str) -> list[Verdict]:
    """One verdict a letter: r is a rejection."""
    return [
        Verdict(
            label="red",
            class_id=0,
            confidence=0.5,
            scores={"brightness": 1.0},
            p_value=0.5,
            decision="reject" if letter == "r" else "accept",
        )
        for letter in decisions
    ]


def white_images(number: int) -> Body:
    return Body(
        data=bytes([255]) * (number * 12),
        content_type="application/octet-stream",
        options={},
        shape=f"{number},2,2,3",
    )


MakeSampler = Callable[..., tuple[Sampler, CollectorRegistry]]


@pytest.fixture
def make_sampler() -> Iterator[MakeSampler]:
    made: list[Sampler] = []

    def make(
        store: Store, *, rate: float = 1.0, chance: random.Random | None = None
    ) -> tuple[Sampler, CollectorRegistry]:
        registry = CollectorRegistry()
        shelf = Shelf(store, max_bytes=10**6, max_images=100, max_age=None, now=Clock())
        sampler = Sampler(
            shelf,
            rate=rate,
            limits=LIMITS,
            metrics=SampleMetrics(registry),
            chance=chance or Chance(*[0.0] * 10),
        )
        made.append(sampler)
        return sampler, registry

    yield make
    for sampler in made:
        sampler.close()


def counted(registry: CollectorRegistry, outcome: str) -> float | None:
    return registry.get_sample_value("oodguard_samples_total", {"outcome": outcome})


def kept_images(names: Sequence[str]) -> list[int]:
    """The places of the images that were kept, by their files' names."""
    return sorted(
        int(name[: -len(".png")].rpartition("-")[2]) for name in names if name[-3:] == "png"
    )


def test_each_rejected_image_is_kept_by_a_chance_of_its_own(
    model: ServedModel, make_sampler: MakeSampler
) -> None:
    store = Memory()
    # Accepted images draw nothing.
    sampler, registry = make_sampler(store, rate=0.25, chance=Chance(0.2, 0.25, 0.9, 0.0))
    sampler.follow(model, "r", white_images(6), verdicts("rararr"))
    sampler.close()
    assert kept_images([*store.files]) == [0, 5]
    assert counted(registry, "kept") == 2
    assert registry.get_sample_value("oodguard_samples_held") == 2
    size = sum(len(data) for data in store.files.values())
    assert registry.get_sample_value("oodguard_samples_held_bytes") == size


class Slow(Memory):
    """A store that does not come back before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.told = threading.Event()

    def put(self, name: str, data: bytes) -> None:
        self.begun.set()
        assert self.told.wait(20)
        super().put(name, data)


def test_a_slow_store_holds_nobody_up_and_what_it_cannot_take_is_dropped_and_counted(
    model: ServedModel, make_sampler: MakeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "MAX_WAITING", 2)
    store = Slow()
    sampler, registry = make_sampler(store)
    sampler.follow(model, "in-work", white_images(1), verdicts("r"))
    assert store.begun.wait(20)
    for request_id in ("waits", "waits-too"):
        sampler.follow(model, request_id, white_images(1), verdicts("r"))
    # Each of these comes back while the store still does not.
    sampler.follow(model, "dropped", white_images(3), verdicts("rrr"))
    assert counted(registry, "dropped") == 3
    assert counted(registry, "kept") == 0
    store.told.set()
    sampler.close()
    assert counted(registry, "kept") == 3
    assert not any("dropped" in name for name in store.files)


class Failing(Memory):
    """A store that takes nothing while it is broken."""

    broken = True

    def put(self, name: str, data: bytes) -> None:
        if self.broken:
            raise StoreFailed("no room on the device")
        super().put(name, data)


def test_a_store_that_fails_is_counted_each_time_and_logged_once(
    model: ServedModel, make_sampler: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    store = Failing()
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.follow(model, "r", white_images(3), verdicts("rrr"))
        sampler.close()
    assert counted(registry, "failed") == 3
    assert [record.getMessage() for record in caplog.records] == [
        "rejected images are not kept: no room on the device"
    ]


def test_after_a_failure_the_next_sample_is_kept_and_the_log_says_so(
    model: ServedModel, make_sampler: MakeSampler, caplog: pytest.LogCaptureFixture
) -> None:
    class Recovering(Failing):
        def put(self, name: str, data: bytes) -> None:
            try:
                super().put(name, data)
            finally:
                self.broken = False

    store = Recovering()
    with caplog.at_level(logging.INFO, "oodguard.samples"):
        sampler, registry = make_sampler(store)
        sampler.follow(model, "r", white_images(3), verdicts("rrr"))
        sampler.close()
    assert (counted(registry, "failed"), counted(registry, "kept")) == (1, 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert kept_images([*store.files]) == [1, 2]


def test_bounds_hold_for_what_requests_leave_in_a_folder(
    make_client: MakeClient, tmp_path: Path
) -> None:
    folder = tmp_path / "looks"
    client = make_client(sample_rate=1, sample_to=str(folder), sample_max_images=3)
    for number in range(5):
        judge(client, content=encode(plain(WHITE)), headers={**PNG, "x-request-id": f"r{number}"})
    client.__exit__()
    assert [each["request_id"] for each in records(folder)] == ["r2", "r3", "r4"]
    assert len([*FolderStore(folder).held()]) == 6
