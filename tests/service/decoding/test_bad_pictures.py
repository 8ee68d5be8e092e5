"""Bad pictures get the documented problem, unusual ones their verdict, and the next its answer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ExifTags, Image
from starlette.testclient import TestClient

from oodguard.models.bundle import Bundle
from oodguard.service.api.schemas import ImagePlace
from oodguard.service.images import decode as images
from tests.service.checks import post, post_pixels, predictions, problem, still_serves
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

TEXT = b"this is no image, but text"


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TEXT, id="text"),
        pytest.param(b"", id="0 bytes"),
        pytest.param(cut(encode(noisy(), "PNG")), id="truncated PNG"),
        pytest.param(cut(encode(noisy(), "JPEG")), id="truncated JPEG"),
        pytest.param(cut(encode(noisy(), "WEBP")), id="truncated WebP"),
        pytest.param(cut(encode(noisy(), "WEBP", lossless=True)), id="truncated lossless WebP"),
        pytest.param(encode(plain(), "PNG")[:20], id="PNG cut within its header"),
        pytest.param(encode(plain(), "JPEG")[:20], id="JPEG cut within its headers"),
        pytest.param(encode(plain(), "WEBP")[:20], id="WebP cut within its header"),
        pytest.param(claiming_png(64, 64), id="PNG with fewer pixels than it claims"),
        pytest.param(claiming_png(0, 8), id="PNG of width 0"),
        pytest.param(b"\xff\xd8\xff" + b"\xff" * 500, id="JPEG of fill bytes"),
    ],
)
def test_what_cannot_be_decoded_is_undecodable(client: TestClient, body: bytes) -> None:
    answer = problem(post(client, body), 400, "undecodable-image")
    assert answer.image == ImagePlace(index=0, name=None)
    still_serves(client)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(claiming_png(20_000, 20_000), id="PNG"),
        pytest.param(claiming_webp(16_383, 16_383), id="WebP"),
        pytest.param(claiming_jpeg(60_000, 60_000), id="JPEG"),
    ],
)
def test_a_huge_image_is_refused_from_its_header(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    def opened(*_: object, **__: object) -> None:
        pytest.fail("the decoder saw the image")

    monkeypatch.setattr(images, "DECODERS", dict.fromkeys(images.DECODERS, opened))
    answer = problem(post(client, body), 413, "image-too-large")
    assert "at most 25000000" in answer.detail
    monkeypatch.undo()
    still_serves(client)


def test_the_pixel_limit_is_exact(make_client: MakeClient) -> None:
    client = make_client(max_pixels=64)
    predictions(post(client, encode(plain(RED, (8, 8)))))
    problem(post(client, encode(plain(RED, (13, 5)))), 413, "image-too-large")
    problem(post_pixels(client, bytes(13 * 5 * 3), "1,13,5,3"), 413, "image-too-large")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_unsupported(client: TestClient, kind: str) -> None:
    problem(post(client, animated(kind)), 415, "unsupported-image")
    still_serves(client)


@pytest.mark.parametrize(
    ("kind", "came"), [("GIF", "a GIF"), ("TIFF", "a TIFF"), ("BMP", "a BMP"), ("AVIF", "an AVIF")]
)
def test_a_known_format_that_is_not_taken_is_named(
    client: TestClient, kind: str, came: str
) -> None:
    answer = problem(post(client, encode(plain(), kind)), 415, "unsupported-image")
    assert f"{came}" in answer.detail
    assert "send a JPEG, PNG or WebP" in answer.detail


def sixteen_bit() -> Image.Image:
    return Image.new("I;16", (8, 8), 0)


def transparent_palette() -> Image.Image:
    """Every pixel is the one transparent entry of the palette: white once laid over white."""
    image = plain(RED).convert("P", palette=Image.Palette.ADAPTIVE)
    image.info["transparency"] = image.getpixel((0, 0))
    return image


@pytest.mark.parametrize(
    ("body", "brightness"),
    [
        pytest.param(encode(plain(RED, (1, 1))), 85.0, id="1 x 1"),
        pytest.param(encode(sixteen_bit()), 0.0, id="16 bit"),
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
def test_an_unusual_image_is_judged_by_what_it_shows(
    client: TestClient, body: bytes, brightness: float
) -> None:
    (verdict,) = predictions(post(client, body))
    assert verdict.scores["brightness"] == pytest.approx(brightness, abs=1.0)


def test_a_phone_s_jpeg_with_a_second_picture_behind_it_is_judged_by_the_first(
    client: TestClient,
) -> None:
    body = encode(plain(RED), "MPO", save_all=True, append_images=[plain(BLUE)])
    assert predictions(post(client, body, "image/jpeg"))[0].label == "red"


def test_a_rotated_photograph_gets_the_verdict_of_the_upright_one(
    tmp_path: Path, make_bundle: Callable[..., Bundle], make_client: MakeClient
) -> None:
    # A model of 16 x 8 crops the middle rows, which are red; of the lying picture, were it left
    # lying, it would crop a red and two blue parts.
    make_bundle(
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
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    expected = predictions(post(client, encode(upright)))
    assert expected[0].label == "red"
    assert predictions(post(client, encode(lying))) != expected
    assert predictions(post(client, encode(lying, exif=exif))) == expected
