"""Images over HTTP: problems for invalid images, verdicts for unusual ones."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image
from starlette.testclient import TestClient

from oodguard.service.api.schemas import ImagePlace
from oodguard.service.images import decode
from tests.conftest import build_bundle
from tests.service.checks import post, post_pixels, predictions, problem
from tests.service.conftest import MakeClient
from tests.service.graphs import CLASSES, SCORES, graph
from tests.service.pictures import (
    BLUE,
    RED,
    animated,
    claiming_jpeg,
    claiming_png,
    claiming_webp,
    encode,
    noisy,
    plain,
)

TEXT = b"text instead of an image"


def halved(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TEXT, id="text"),
        pytest.param(b"", id="0 bytes"),
        pytest.param(halved(encode(noisy(), "PNG")), id="truncated PNG"),
        pytest.param(halved(encode(noisy(), "JPEG")), id="truncated JPEG"),
        pytest.param(halved(encode(noisy(), "WEBP")), id="truncated WebP"),
        pytest.param(halved(encode(noisy(), "WEBP", lossless=True)), id="truncated lossless WebP"),
        pytest.param(encode(plain(), "PNG")[:20], id="PNG truncated within its header"),
        pytest.param(encode(plain(), "JPEG")[:20], id="JPEG truncated within its headers"),
        pytest.param(encode(plain(), "WEBP")[:20], id="WebP truncated within its header"),
        pytest.param(claiming_png(64, 64), id="PNG with fewer pixels than it claims"),
        pytest.param(claiming_png(0, 8), id="PNG of width 0"),
        pytest.param(b"\xff\xd8\xff" + b"\xff" * 500, id="JPEG of fill bytes"),
    ],
)
def test_undecodable_image_is_rejected(client: TestClient, body: bytes) -> None:
    answer = problem(post(client, body), 400, "undecodable-image")
    assert answer.image == ImagePlace(index=0, name=None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(claiming_png(20_000, 20_000), id="PNG"),
        pytest.param(claiming_webp(16_383, 16_383), id="WebP"),
        pytest.param(claiming_jpeg(60_000, 60_000), id="JPEG"),
    ],
)
def test_image_over_the_pixel_limit_is_rejected_before_it_is_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(decode, "DECODERS", {})
        answer = problem(post(client, body), 413, "image-too-large")
    assert "expected at most 25000000" in answer.detail


def test_pixel_limit_is_exact(make_client: MakeClient) -> None:
    client = make_client(max_pixels=64)
    predictions(post(client, encode(plain(RED, (8, 8)))))
    problem(post(client, encode(plain(RED, (13, 5)))), 413, "image-too-large")
    problem(post_pixels(client, bytes(13 * 5 * 3), "1,13,5,3"), 413, "image-too-large")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animated_image_is_rejected(client: TestClient, kind: str) -> None:
    problem(post(client, animated(kind)), 415, "unsupported-image")


@pytest.mark.parametrize(
    ("kind", "received"),
    [("GIF", "a GIF"), ("TIFF", "a TIFF"), ("BMP", "a BMP"), ("AVIF", "an AVIF")],
)
def test_unsupported_format_is_in_the_error(client: TestClient, kind: str, received: str) -> None:
    answer = problem(post(client, encode(plain(), kind)), 415, "unsupported-image")
    assert f"the image is {received}" in answer.detail
    assert "expected a JPEG, PNG or WebP" in answer.detail


def transparent_palette() -> Image.Image:
    """Return an image of one transparent palette entry, which is white over white."""
    image = plain(RED).convert("P", palette=Image.Palette.ADAPTIVE)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


@pytest.mark.parametrize(
    ("body", "brightness"),
    [
        pytest.param(encode(plain(RED, (1, 1))), 85.0, id="1 x 1"),
        pytest.param(encode(Image.new("I;16", (8, 8), 0)), 0.0, id="16 bit"),
        pytest.param(encode(transparent_palette()), 255.0, id="palette with transparency"),
        pytest.param(encode(Image.new("L", (8, 8), 90)), 90.0, id="grey"),
        pytest.param(encode(Image.new("LA", (8, 8), (9, 0))), 255.0, id="transparent grey"),
        pytest.param(encode(Image.new("1", (8, 8), 1)), 255.0, id="1 bit"),
        # No ink but black at half strength: 255 - 128 in every channel.
        pytest.param(
            encode(Image.new("CMYK", (8, 8), (0, 0, 0, 128)), "JPEG", quality=100),
            127.0,
            id="CMYK JPEG",
        ),
    ],
)
def test_unusual_image_is_scored_by_its_visible_pixels(
    client: TestClient, body: bytes, brightness: float
) -> None:
    (verdict,) = predictions(post(client, body))
    assert verdict.scores["brightness"] == pytest.approx(brightness, abs=1.0)


def test_multi_picture_jpeg_is_predicted_by_its_first_picture(client: TestClient) -> None:
    body = encode(plain(RED), "MPO", save_all=True, append_images=[plain(BLUE)])
    assert predictions(post(client, body, "image/jpeg"))[0].label == "red"


def test_exif_orientation_is_applied(tmp_path: Path, make_client: MakeClient) -> None:
    # A model of 16 x 8 crops the middle rows, which are red. Of the rotated image it would crop a
    # red and two blue parts.
    build_bundle(
        tmp_path / "wide",
        scores=SCORES,
        classes=CLASSES,
        height=8,
        width=16,
        model=graph(images=("n", 8, 16, 3)),
    )
    client = make_client(bundle=tmp_path / "wide")
    upright = plain(BLUE, (16, 16))
    upright.paste(RED, (0, 4, 16, 12))
    rotated = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    expected = predictions(post(client, encode(upright)))
    assert expected[0].label == "red"
    assert predictions(post(client, encode(rotated))) != expected
    assert predictions(post(client, encode(rotated, exif=exif))) == expected
