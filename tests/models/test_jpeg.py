"""simplejpeg returns the pixels that Pillow's decoder returns, or the file is left to Pillow."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.MpoImagePlugin import MpoImageFile

from oodguard.models import preprocessing
from oodguard.models.errors import ImageError
from oodguard.models.jpeg import decode_jpeg
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from oodguard.service.images.decode import decode_image
from oodguard.service.images.header import EncodedImage
from tests.abuse.corpus import family
from tests.service.pictures import encode, halves, plain


def photo(width: int, height: int) -> Image.Image:
    """Return smooth colours with noise: every frequency, in each channel another one."""
    rng = np.random.default_rng([width, height])
    coarse = rng.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height)), dtype=np.int64)
    noise = rng.integers(-20, 21, smooth.shape)
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))


PHOTO = photo(65, 43)
"""No side is a multiple of a block of 8, 16 or 32 pixels."""

BASELINE = encode(PHOTO, "JPEG")
CMYK = encode(PHOTO.convert("CMYK"), "JPEG")
ADOBE = CMYK.index(b"Adobe") + 11
JFIF = slice(2, 20)


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def subsampled(kind: str) -> bytes:
    pixels = np.ascontiguousarray(np.asarray(PHOTO))
    return bytes(simplejpeg.encode_jpeg(pixels, colorsubsampling=kind))


def with_adobe(transform: int) -> bytes:
    """Return the baseline JPEG with an Adobe segment in the place of its JFIF segment."""
    segment = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    return BASELINE[: JFIF.start] + segment + BASELINE[JFIF.stop :]


DECODED = {
    **{f"4:{kind[1]}:{kind[2]}": subsampled(kind) for kind in ("444", "422", "420", "440", "411")},
    **{f"quality {quality}": encode(PHOTO, "JPEG", quality=quality) for quality in (1, 50, 100)},
    "optimized": encode(PHOTO, "JPEG", optimize=True),
    "progressive": encode(PHOTO, "JPEG", progressive=True),
    "progressive 4:4:4": encode(PHOTO, "JPEG", progressive=True, subsampling=0),
    "restart markers": encode(PHOTO, "JPEG", restart_marker_blocks=2),
    "progressive, restart markers": encode(PHOTO, "JPEG", progressive=True, restart_marker_rows=1),
    "grey": encode(PHOTO.convert("L"), "JPEG"),
    "progressive grey": encode(PHOTO.convert("L"), "JPEG", progressive=True),
    "RGB": encode(PHOTO, "JPEG", keep_rgb=True),
    "without JFIF": BASELINE[: JFIF.start] + BASELINE[JFIF.stop :],
    "Adobe RGB": with_adobe(0),
    "Adobe YCbCr": with_adobe(1),
    "bytes after the end": BASELINE + b"\x00more",
    "a second image after the end": BASELINE + encode(plain(), "JPEG"),
    "1 x 1": encode(photo(1, 1), "JPEG"),
    "1 x 100": encode(photo(1, 100), "JPEG"),
    "100 x 1": encode(photo(100, 1), "JPEG"),
    "upright": encode(PHOTO, "JPEG", exif=orientation(1)),
}

LEFT_TO_PILLOW = {
    "CMYK": CMYK,
    "YCCK": CMYK[:ADOBE] + b"\2" + CMYK[ADOBE + 1 :],
    "progressive CMYK": encode(PHOTO.convert("CMYK"), "JPEG", progressive=True),
    "Adobe YCCK of three components": with_adobe(2),
    "truncated": BASELINE[: len(BASELINE) * 2 // 3],
    "without its end": BASELINE[:-2],
    "stray bytes before a segment": BASELINE[: JFIF.stop] + b"\x00\x00" + BASELINE[JFIF.stop :],
}


def opened(data: bytes) -> JpegImageFile:
    return JpegImageFile(io.BytesIO(data))


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with opened(data) as image:
        return np.asarray(image.convert("RGB"))


def directly(data: bytes) -> NDArray[np.uint8] | None:
    with opened(data) as image:
        return decode_jpeg(image)


@pytest.mark.parametrize("data", DECODED.values(), ids=DECODED)
def test_jpeg_has_the_pixels_that_pillow_decodes(data: bytes) -> None:
    pixels = directly(data)
    assert pixels is not None
    np.testing.assert_array_equal(pixels, by_pillow(data))


def test_jpeg_has_the_colours_of_the_image() -> None:
    pixels = directly(encode(halves((200, 0, 0), (0, 0, 100)), "JPEG", quality=100, subsampling=0))
    assert pixels is not None
    assert np.abs(pixels[:, [0, 15]].astype(int) - [[200, 0, 0], [0, 0, 100]]).max() <= 2


@pytest.mark.parametrize("data", LEFT_TO_PILLOW.values(), ids=LEFT_TO_PILLOW)
def test_jpeg_of_another_kind_is_left_to_pillow(data: bytes) -> None:
    assert directly(data) is None


def test_jpeg_that_pillow_has_changed_is_left_to_pillow() -> None:
    with opened(BASELINE) as draft, opened(BASELINE) as loaded:
        draft.draft("RGB", (10, 10))
        loaded.load()
        assert decode_jpeg(draft) is None
        assert decode_jpeg(loaded) is None
    frames = io.BytesIO(encode(PHOTO, "MPO", save_all=True, append_images=[plain()]))
    with MpoImageFile(frames) as second:
        assert decode_jpeg(second) is not None
        second.seek(1)
        assert decode_jpeg(second) is None


def test_jpeg_can_be_loaded_by_pillow_after_it_was_decoded() -> None:
    with opened(BASELINE) as image:
        pixels = decode_jpeg(image)
        np.testing.assert_array_equal(pixels, np.asarray(image))


def outcome(data: bytes) -> bytes | tuple[type[ImageError], str]:
    """Return the pixels of a file, decoded by the service for a model of its size, or the error."""
    image = EncodedImage(data=data)
    try:
        spec = InputSpec(height=image.header.height, width=image.header.width)
        return decode_image(image, spec, max_pixels=10**6).tobytes()
    except ImageError as error:
        return type(error), str(error)


def outcome_with_pillow_alone(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> bytes | tuple[type[ImageError], str]:
    with monkeypatch.context() as patch:
        patch.setattr(preprocessing, "decode_jpeg", lambda _: None)
        return outcome(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ["kinds", "metadata", "cut images", "mutated"])
def test_jpeg_of_the_hostile_corpus_has_the_outcome_of_pillow(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in hostile_jpegs(name):
        assert outcome(data) == outcome_with_pillow_alone(data, monkeypatch)


def hostile_jpegs(name: str) -> Sequence[bytes]:
    found = [case.sent.partition(b"\r\n\r\n")[2] for case in family(name)]
    jpegs = [data for data in found if data.startswith(b"\xff\xd8\xff") and len(data) < 10**5]
    assert len(jpegs) >= 10
    return jpegs


@given(
    data=st.sampled_from([*DECODED.values(), *LEFT_TO_PILLOW.values()]),
    positions=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3),
    value=st.binary(min_size=0, max_size=2),
)
def test_damaged_jpeg_has_the_pixels_that_pillow_decodes_or_is_left_to_it(
    data: bytes, positions: list[float], value: bytes
) -> None:
    damaged = bytearray(data)
    for position in positions:
        start = int(position * len(damaged))
        damaged[start : start + len(value) or start + 1] = value
    try:
        pixels = directly(bytes(damaged))
    except (OSError, SyntaxError):  # as from Pillow alone, which reads the header
        return
    if pixels is not None:
        np.testing.assert_array_equal(pixels, by_pillow(bytes(damaged)))


SIZE = InputSpec(height=PHOTO.height, width=PHOTO.width)


@pytest.mark.parametrize(
    ("spec", "data", "decoded"),
    [
        pytest.param(SIZE, BASELINE, True, id="same size"),
        pytest.param(InputSpec(height=43, width=64), BASELINE, False, id="another size"),
        pytest.param(
            InputSpec(height=43, width=65, resize=70), BASELINE, False, id="resize before the crop"
        ),
        pytest.param(
            SIZE, encode(PHOTO, "JPEG", exif=orientation(3)), False, id="rotated by 180 degrees"
        ),
    ],
)
def test_jpeg_is_decoded_directly_if_its_pixels_are_kept(
    monkeypatch: pytest.MonkeyPatch, spec: InputSpec, data: bytes, *, decoded: bool
) -> None:
    direct: list[bool] = []

    def recorded(image: JpegImageFile) -> NDArray[np.uint8] | None:
        pixels = decode_jpeg(image)
        direct.append(pixels is not None)
        return pixels

    monkeypatch.setattr(preprocessing, "decode_jpeg", recorded)
    with opened(data) as image:
        pixels = prepare(image, spec)
    with opened(data) as image:
        image.load()
        np.testing.assert_array_equal(pixels, prepare(image, spec))
    assert any(direct) == decoded
