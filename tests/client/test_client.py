"""The client against the real application, in this process."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oodguard.client import (
    Client,
    ImageBodyTooLargeError,
    ImageResult,
    ImageSource,
    InvalidImageError,
    KeyMissingError,
    KeyUnknownError,
    RoleMissingError,
    TooManyImagesError,
    UndecodableImageError,
    UnknownModelError,
    UnreadableImageError,
    WrongFieldsError,
)
from tests.client.conftest import client_of
from tests.service.conftest import AccessLog, Issued, MakeClient
from tests.service.pictures import BLUE, GREEN, RED, WHITE, encode, plain

PIXELS = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE)])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Red, green and blue in turn."""
    colours = {"red": RED, "green": GREEN, "blue": BLUE}
    paths = [tmp_path / f"{index}-{name}.png" for index in range(4) for name in colours]
    for path in paths:
        path.write_bytes(encode(plain(colours[path.stem.partition("-")[2]])))
    return paths


def labels(results: list[ImageResult]) -> list[str]:
    return [each.label for each in results]


def test_client_predict_returns_every_field_of_the_answer(client: Client) -> None:
    """White has the brightness 255, above all calibration scores 1 to 250: p = 1 / 251."""
    result = client.predict(encode(plain(WHITE)), request_id="mine")
    assert (result.index, result.name, result.label, result.class_id) == (0, "images[0]", "red", 0)
    assert (result.decision, result.accepted, result.detail) == ("reject", False, "full")
    assert result.p_value == pytest.approx(1 / 251)
    assert result.confidence == pytest.approx(1 / 3)
    assert result.scores == {"brightness": 255, "darkness": -255}
    assert [reason.code for reason in result.reasons] == ["unlike_classes"]
    assert result.request_id == "mine"
    assert (result.model.name, result.model.version, len(result.model.sha256)) == ("tiny", "1", 64)
    assert (result.policy.score, result.policy.alpha) == ("brightness", 0.05)
    assert result.policy.model_fields_set == {"score", "alpha", "delta", "threshold"}


def test_client_predict_takes_every_kind_of_input(client: Client, files: list[Path]) -> None:
    data = files[1].read_bytes()
    for image in (files[1], str(files[1]), data, Image.open(files[1]), PIXELS[1]):
        result = client.predict(image)
        assert (result.label, result.accepted) == ("green", True)
        is_path = isinstance(image, str | Path)
        assert result.name == (str(files[1]) if is_path else "images[0]")


def test_client_predict_many_keeps_the_order(client: Client, files: list[Path]) -> None:
    results = list(client.predict_many(files * 30, request_id="job"))
    assert labels(results) == ["red", "green", "blue"] * 120
    assert [each.index for each in results] == [*range(360)]
    assert [each.name for each in results] == [str(path) for path in files * 30]
    requests = {each.request_id: None for each in results}
    assert [*requests] == [f"job-{number}" for number in range(1, 7)]  # of 64 images and the rest
    assert labels(list(client.predict_many(PIXELS))) == ["red", "green", "blue"]
    assert list(client.predict_many([])) == []


def test_client_predict_many_reads_as_results_are_taken(client: Client) -> None:
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield PIXELS[0]

    results = client.predict_many(endless())
    assert drawn == 0
    assert next(results).label == "red"
    # Two batches wait for each request at a time, and one is complete.
    assert drawn <= 64 * (2 * 4 + 1)
    results.close()  # type: ignore[attr-defined]


def test_client_predict_many_raises_in_place_of_the_request(
    client: Client, files: list[Path]
) -> None:
    images: list[Any] = [*PIXELS, files[0], b"no image", files[1]]
    results = client.predict_many(images)
    assert [next(results).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UndecodableImageError) as raised:
        next(results)
    assert (raised.value.index, raised.value.name) == (4, "images[4]")
    text = "images[4]: the 8 bytes are not an image, expected a JPEG, PNG or WebP (request "
    assert str(raised.value).startswith(text)
    assert raised.value.problem.status == 400
    assert next(results, None) is None


def test_client_predict_many_continues_without_invalid_images(
    client: Client, files: list[Path], tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(b"no image")
    found: list[InvalidImageError] = []
    images = [broken, *files, missing, broken, files[0], broken]
    results = list(client.predict_many(images, on_invalid=found.append))
    assert [each.index for each in results] == [*range(1, 13), 15]
    assert [(each.index, each.name) for each in found] == [
        (0, str(broken)),
        (13, str(missing)),
        (14, str(broken)),
        (16, str(broken)),
    ]
    assert [type(each) for each in found[:2]] == [UndecodableImageError, UnreadableImageError]


def test_client_divides_requests_that_are_too_large_for_the_service(
    make_client: MakeClient, files: list[Path], access_log: AccessLog
) -> None:
    client = client_of(make_client(max_images=5, max_body_bytes=4000))
    results = list(client.predict_many(files * 4))
    assert labels(results) == ["red", "green", "blue"] * 16
    assert {each["code"] for each in access_log()} == {200, 413}
    large = encode(Image.effect_noise((64, 64), 99).convert("RGB"))
    with pytest.raises(ImageBodyTooLargeError, match=r"images\[0\]: Content-Length is \d+ bytes"):
        client.predict(large)
    found: list[InvalidImageError] = []
    assert len(list(client.predict_many([files[0], large], on_invalid=found.append))) == 1
    assert found[0].index == 1


def test_client_predict_together_decides_at_a_false_discovery_rate(client: Client) -> None:
    """The p-values of red and white are 167 and 1 of 251."""
    images: list[ImageSource] = [encode(plain(RED)), np.full((8, 8, 3), 255, np.uint8)]
    results = client.predict_together(images, fdr=0.9)
    assert [each.decision for each in results] == ["reject", "reject"]
    assert results[0].policy.fdr == 0.9
    strict = client.predict_together(images, fdr=0.1)
    assert [each.decision for each in strict] == ["accept", "reject"]
    with pytest.raises(WrongFieldsError, match=r'X-FDR is "2\.0"'):
        client.predict_together(images, fdr=2)
    with pytest.raises(TooManyImagesError):
        client.predict_together([images[0]] * 257, fdr=0.1)


def test_client_selects_a_model_and_its_version(
    make_client: MakeClient, three_models: Path
) -> None:
    client = client_of(make_client(models=three_models, default_model="two"))
    assert client.predict(PIXELS[0]).label == "rouge"
    assert client.predict(PIXELS[0], model="one").model.version == "10"
    assert client.predict(PIXELS[0], model="one", version="9").model.version == "9"
    assert [each.model.name for each in client.predict_many(PIXELS, model="one")] == ["one"] * 3
    with pytest.raises(UnknownModelError, match="expected one of: one, two"):
        client.predict(PIXELS[0], model="three")
    models = client.models()
    assert (models.default, models.default_version, models.shadow) == ("two", "1", None)
    assert [each.name for each in models.models] == ["one", "one", "two"]
    assert models.models[2].classes == ("rouge", "vert", "bleu")


def test_client_result_states_the_lower_detail_of_the_service(make_client: MakeClient) -> None:
    result = client_of(make_client(detail="verdict")).predict(PIXELS[0])
    assert (result.detail, result.confidence, result.scores, result.reasons) == (
        "verdict",
        None,
        {},
        (),
    )
    assert result.policy.threshold is None


def test_client_sends_its_key(make_secured: MakeClient, issued: Issued) -> None:
    application = make_secured()
    with pytest.raises(KeyMissingError, match="missing API key"):
        client_of(application).predict(PIXELS[0])
    assert client_of(application).ready()
    with pytest.raises(KeyUnknownError, match="invalid or revoked"):
        client_of(application, key="oodguard_no_key").predict(PIXELS[0])
    with pytest.raises(RoleMissingError, match="expected predict"):
        client_of(application, key=issued["metrics"].token).predict(PIXELS[0])
    client = client_of(application, key=f"{issued['predict'].token}\n")
    assert client.predict(PIXELS[0]).label == "red"
    assert client.models().default == "tiny"


def test_client_sends_images_in_the_memory_of_a_pil_image(client: Client) -> None:
    with Image.open(io.BytesIO(encode(plain(BLUE), "JPEG"))) as image:
        assert client.predict(image).label == "blue"
