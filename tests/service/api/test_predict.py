"""POST /predict: four request formats, and verdicts computed by hand."""

import base64
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from httpx2 import Response
from PIL import Image
from scipy.stats import beta
from starlette.testclient import TestClient

from tests.service.checks import post, post_pixels, predictions
from tests.service.conftest import MakeClient
from tests.service.pictures import BLACK, BLUE, GREEN, RED, WHITE, encode, halves, plain
from tests.service.tiny import CALIBRATION_IMAGES

Send = Callable[[TestClient, list[Image.Image]], Response]


def send_files(client: TestClient, images: list[Image.Image]) -> Response:
    files = [("files", (f"{i}.png", encode(image))) for i, image in enumerate(images)]
    return client.post("/predict", files=files)


def send_json(client: TestClient, images: list[Image.Image]) -> Response:
    return client.post(
        "/predict", json={"images": [base64.b64encode(encode(image)).decode() for image in images]}
    )


def send_pixels(client: TestClient, images: list[Image.Image]) -> Response:
    pixels = np.stack([np.asarray(image) for image in images])
    return post_pixels(client, pixels.tobytes(), ",".join(map(str, pixels.shape)))


def test_predict_returns_the_scores_and_p_value_computed_by_hand(client: TestClient) -> None:
    (verdict,) = predictions(post(client, encode(plain(RED))))
    assert verdict.label == "red"
    assert verdict.class_id == 0
    # Logits are 255 / 25, 0 and 0.
    assert verdict.confidence == pytest.approx(1 / (1 + 2 * math.exp(-10.2)), rel=1e-6)
    # Brightness (255 + 0 + 0) / 3; of the scores 1..250 those from 85 on are no smaller.
    assert verdict.scores == {"brightness": 85.0, "darkness": -85.0}
    assert verdict.p_value == pytest.approx((1 + 166) / 251)
    assert verdict.decision == "accept"


@pytest.mark.parametrize(("alpha", "delta"), [(0.05, 0.05), (0.2, 0.05), (0.1, None)])
def test_predict_threshold_equals_the_one_from_scipy(
    make_client: MakeClient, alpha: float, delta: float | None
) -> None:
    n = CALIBRATION_IMAGES
    if delta is None:
        rank = math.floor(alpha * (n + 1))
    else:
        rank = max(k for k in range(1, n) if beta.cdf(alpha, k, n + 1 - k) >= 1 - delta)
    client = make_client(alpha=alpha, delta=delta)
    policy = post(client, encode(plain())).json()["policy"]
    # Calibration scores are 1..n, so the k-th largest is n + 1 - k.
    assert policy == {
        "score": "brightness",
        "alpha": alpha,
        "delta": delta,
        "threshold": n + 1 - rank,
    }


@pytest.mark.parametrize("send", [send_files, send_json, send_pixels])
def test_predict_returns_predictions_in_the_order_of_images(client: TestClient, send: Send) -> None:
    images = [plain(BLUE), plain(WHITE), plain(GREEN), plain(BLACK), plain(RED)]
    verdicts = predictions(send(client, images))
    assert [v.label for v in verdicts][0::2] == ["blue", "green", "red"]
    assert [v.decision for v in verdicts] == ["accept", "reject", "accept", "accept", "accept"]
    assert [v.scores["brightness"] for v in verdicts] == [85.0, 255.0, 85.0, 0.0, 85.0]


def test_predict_returns_the_same_verdict_for_every_request_format(client: TestClient) -> None:
    picture = halves((200, 100, 30), (10, 220, 90)).resize((8, 8))
    expected = predictions(post(client, encode(picture)))
    for send in (send_files, send_json, send_pixels):
        assert predictions(send(client, [picture])) == expected


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("PNG", "IMAGE/PNG"),
        ("PNG", "image/png; charset=binary"),
        ("PNG", "  image/png ;a=b"),
    ],
)
def test_predict_accepts_image_formats_in_any_case_and_with_parameters(
    client: TestClient, kind: str, content_type: str
) -> None:
    response = post(client, encode(plain(GREEN), kind), content_type)
    assert predictions(response)[0].label == "green"


def test_predict_resizes_raw_pixels_by_the_rule_of_the_manifest(client: TestClient) -> None:
    # The rule crops the centre: the middle 8 of 24 columns, which are blue.
    pixels = np.zeros((1, 8, 24, 3), np.uint8)
    pixels[:, :, 8:16, 2] = 255
    (verdict,) = predictions(post_pixels(client, pixels.tobytes(), "1,8,24,3"))
    assert verdict.label == "blue"
    assert verdict.scores["brightness"] == 85.0


def test_predict_decides_by_the_configured_score(make_client: MakeClient) -> None:
    answer = post(make_client(score="darkness"), encode(plain(BLACK))).json()
    assert answer["policy"]["score"] == "darkness"
    # Darkness is at most 0 and every calibration score at least 1, so nothing is dark enough.
    assert answer["predictions"][0]["p_value"] == 1.0


def test_predict_splits_images_over_max_batch_in_order(make_client: MakeClient) -> None:
    images = [plain((level, 0, 0)) for level in (0, 30, 60, 90, 120)]
    verdicts = predictions(send_files(make_client(max_batch=2), images))
    assert [v.scores["brightness"] for v in verdicts] == [0.0, 10.0, 20.0, 30.0, 40.0]


def test_predict_response_has_the_model_and_the_hash_of_its_manifest(
    client: TestClient, bundle_folder: Path
) -> None:
    answer = post(client, encode(plain())).json()
    digest = hashlib.sha256((bundle_folder / "manifest.json").read_bytes()).hexdigest()
    assert answer["model"] == {"name": "tiny", "version": "1", "sha256": digest}
