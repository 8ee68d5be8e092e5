import io
import struct
import tracemalloc
import warnings
from typing import Literal

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from oodguard.models import preprocessing
from oodguard.models.errors import UndecodableImage, UnsupportedImage
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import MAX_EXIF_BYTES, prepare
from tests.models.prepared import RED, WHITE, as_it_is, sized, through

SHORT, RATIONAL = 3, 5
"""Types of EXIF values."""


def columns(*greys: int, height: int) -> Image.Image:
    return Image.fromarray(np.tile(np.array(greys, dtype=np.uint8), (height, 1)))


def test_prepare_keeps_the_pixels_of_an_image_of_the_right_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    prepared = as_it_is(Image.fromarray(pixels))
    assert prepared.dtype == np.uint8
    np.testing.assert_array_equal(prepared, pixels)


def test_prepare_returns_a_copy() -> None:
    image = Image.new("RGB", (2, 2), "red")
    as_it_is(image)[:] = 0
    assert image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
def test_prepare_enlarges_one_pixel_evenly(
    fit: Literal["crop", "stretch"], resample: Literal["bicubic", "bilinear"]
) -> None:
    image = Image.new("RGB", (1, 1), (10, 20, 30))
    prepared = prepare(image, sized(3, 5, fit, resample))
    assert prepared.tolist() == [[[10, 20, 30]] * 5] * 3


@pytest.mark.parametrize(
    ("greys", "height", "spec", "expected"),
    [
        ((9, 0, 70, 9), 2, sized(2, 2), [0, 70]),
        ((1, 2, 3, 4, 5, 6), 2, sized(2, 4), [2, 3, 4, 5]),
        # 3 columns to 2: each new centre is on the border of two old pixels.
        ((0, 100, 200), 2, sized(2, 2), [50, 150]),
        # Halving widens the triangle to two pixels: weights 3/7, 3/7 and, one further, 1/7.
        ((0, 0, 70, 70), 2, sized(2, 2, "stretch"), [10, 60]),
    ],
)
def test_prepare_crops_the_centre_or_stretches(
    greys: tuple[int, ...], height: int, spec: InputSpec, expected: list[int]
) -> None:
    image = columns(*greys, height=height)
    assert prepare(image, spec)[0, :, 0].tolist() == expected
    if spec.height == spec.width:
        tall = image.transpose(Image.Transpose.TRANSPOSE)
        assert prepare(tall, spec)[:, 0, 0].tolist() == expected


@pytest.mark.parametrize("size", [(50, 50), (97, 61), (61, 97), (300, 41), (28, 28), (32, 29)])
@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
def test_prepare_with_resize_equals_scaling_and_then_cropping(
    size: tuple[int, int], resample: Literal["bicubic", "bilinear"]
) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image, shorter = Image.fromarray(pixels), min(size)
    # torchvision: Resize(32) rounds the longer side down, CenterCrop((28, 28)) rounds its offsets.
    width, height = (int(32 * side / shorter) for side in size)
    left, upper = (round((side - 28) / 2) for side in (width, height))
    scaled = image.resize((width, height), Image.Resampling[resample.upper()])
    expected = np.asarray(scaled.crop((left, upper, left + 28, upper + 28)), np.int16)
    found = prepare(image, sized(28, 28, "crop", resample, resize=32))
    # Pillow rounds between its two passes, whose order may depend on the box.
    assert np.abs(found - expected).max() <= 3
    assert np.abs(found - expected).mean() < 0.3


def test_prepare_with_resize_scales_a_long_strip_after_cropping() -> None:
    prepared = prepare(Image.new("L", (60_000, 1), 7), sized(224, 224, resize=256))
    assert prepared.shape == (224, 224, 3)
    assert prepared.min() == prepared.max() == 7


@pytest.mark.parametrize(
    ("size", "fill", "expected"),
    [
        # 4 x 2 fits into 4 x 4 unscaled, with one row of grey above and below.
        ((4, 2), 0, [0, 9, 9, 0]),
        ((4, 2), 114, [114, 9, 9, 114]),
        # 4 x 3: the odd row is below.
        ((4, 3), 1, [9, 9, 9, 1]),
        ((8, 4), 1, [1, 9, 9, 1]),
        ((2, 2), 1, [9, 9, 9, 9]),
        # 1000 x 1: one row remains.
        ((1000, 1), 1, [1, 9, 1, 1]),
    ],
)
def test_prepare_letterbox_scales_to_fit_and_fills_with_grey(
    size: tuple[int, int], fill: int, expected: list[int]
) -> None:
    image = Image.new("RGB", size, (9, 9, 9))
    prepared = prepare(image, sized(4, 4, "letterbox", fill=fill))
    assert prepared[:, 0, 0].tolist() == expected
    assert prepared.tolist() == np.broadcast_to(prepared[:, :1, :1], (4, 4, 3)).tolist()


def test_bicubic_differs_from_bilinear() -> None:
    # Half a pixel off centre, Keys' kernel (a = -1/2) weighs -1/16, 9/16, 9/16, -1/16.
    prepared = prepare(columns(0, 0, 160, 160, 0, height=4), sized(4, 4, resample="bicubic"))
    assert prepared[0, 1:3, 0].tolist() == [80, 180]


def test_crop_is_applied_before_scaling_a_long_strip() -> None:
    # Scaled as a whole, it would have 4096 x 245 million pixels.
    strip = Image.new("L", (60_000, 1), 7)
    prepared = prepare(strip, sized(4096, 4096))
    assert prepared.shape == (4096, 4096, 3)
    assert prepared.min() == prepared.max() == 7


def test_prepare_returns_height_times_width_for_a_rectangular_model() -> None:
    assert prepare(Image.new("RGB", (50, 40)), sized(3, 9)).shape == (3, 9, 3)


# a is the pixel at the upper left as stored, then b; below them c and d.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, "ab cd"),
        (2, "ba dc"),
        (3, "dc ba"),
        (4, "cd ab"),
        (5, "ac bd"),
        (6, "ca db"),
        (7, "db ca"),
        (8, "bd ac"),
        (0, "ab cd"),
        (9, "ab cd"),
    ],
)
@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_exif_orientation_is_applied(file_format: str, orientation: int, upright: str) -> None:
    stored = Image.fromarray(np.array([[ord("a"), ord("b")], [ord("c"), ord("d")]], np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    opened = through(stored.convert("RGB"), file_format, exif=exif, lossless=True)
    prepared = as_it_is(opened)
    assert " ".join("".join(map(chr, row)) for row in prepared[:, :, 0]) == upright


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_exif_orientation_is_read_from_the_start_of_a_long_record(file_format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    record = exif.tobytes() + bytes(2 * MAX_EXIF_BYTES)
    opened = through(columns(9, 70, height=1), file_format, exif=record, lossless=True)
    assert prepare(opened, sized(2, 1))[:, 0, 0].tolist() == [9, 70]


@pytest.mark.parametrize("kind", [SHORT, RATIONAL])
def test_exif_values_of_a_long_record_are_not_parsed(kind: int) -> None:
    values = 2**17
    size = 2 if kind == SHORT else 8
    # The values follow the directory of one entry.
    entry = struct.pack("<HHII", ExifTags.Base.Orientation, kind, values, 26)
    record = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + b"\1\2" * (values * size // 2)
    texts = PngInfo()
    texts.add_text("Raw profile type exif", "\n\n\n" + "41\n" * values)
    for options in ({"exif": record}, {"pnginfo": texts}):
        opened = through(Image.new("RGB", (1, 1), "red"), "PNG", **options)
        opened.load()
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of values that are not in the record.
            prepare(opened, sized(1, 1))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**20


def test_exif_orientation_is_applied_before_cropping() -> None:
    # Stored 4 wide and 2 high, shown 2 wide and 4 high: the crop is of the shown one.
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    opened = through(columns(9, 0, 70, 9, height=2), "PNG", exif=exif)
    assert prepare(opened, sized(2, 2))[:, 0, 0].tolist() == [0, 70]


@pytest.mark.parametrize("damage", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b""])
def test_exif_damage_is_ignored(damage: bytes) -> None:
    opened = through(Image.new("RGB", (1, 1), "red"), "PNG", exif=damage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the damage.
        assert as_it_is(opened).tolist() == [[RED]]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.5, 0.75, 0.95])
def test_prepare_raises_on_truncated_pixels(file_format: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, file_format)
    content = buffer.getvalue()
    with pytest.raises(OSError, match=r"truncated|broken|cannot|could not|decod"):
        as_it_is(Image.open(io.BytesIO(content[: int(kept * len(content))])))


def test_exif_orientation_that_is_not_a_number_is_ignored() -> None:
    image = Image.new("RGB", (1, 1), "red")
    image.getexif()[ExifTags.Base.Orientation] = "sideways"
    assert as_it_is(image).tolist() == [[RED]]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_prepare_rejects_an_animation(file_format: str) -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    animation = through(first, file_format, save_all=True, append_images=[second])
    with pytest.raises(UnsupportedImage, match="expected a single image"):
        as_it_is(animation)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_prepare_accepts_a_single_frame_of_an_animation_format(file_format: str) -> None:
    still = through(Image.new("RGB", (1, 1), "red"), file_format, lossless=True)
    assert as_it_is(still).tolist() == [[RED]]


def test_prepare_accepts_a_photograph_with_a_preview() -> None:
    photograph = through(
        Image.new("RGB", (8, 8), "white"),
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (8, 8), "black")],
    )
    assert photograph.n_frames == 2  # type: ignore[attr-defined]
    assert as_it_is(photograph).tolist() == [[WHITE] * 8] * 8


def test_prepare_rejects_damage_after_the_first_frame() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    content = bytearray(buffer.getvalue())
    second_block = content.rindex(b"\x21\xf9\x04")  # a graphic control of 4 bytes, now of 1
    opened = Image.open(io.BytesIO(bytes(content[: second_block + 2]) + b"\x01\x00"))
    opened.load()
    with pytest.raises(UndecodableImage, match="damaged after its first frame"):
        as_it_is(opened)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_prepare_in_bands_returns_the_same_pixels(
    monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (23, 31), dtype=np.uint8))
    if mode == "P":
        image = Image.frombytes("P", noise.size, noise.tobytes())
        image.putpalette(bytes(range(256)) * 3)
        image.info["transparency"] = bytes(range(256))
    elif mode in {"LA", "RGBA", "CMYK"}:
        image = Image.merge(mode, [noise.rotate(90 * turn) for turn in range(len(mode))])
    elif mode in {"I", "I;16"}:
        kind = np.uint16 if mode == "I;16" else np.int32
        image = Image.fromarray(np.asarray(noise).astype(kind) * 200)
    else:
        image = noise.convert(mode)
    assert image.mode == mode
    image.getexif()[ExifTags.Base.Orientation] = orientation
    for spec in (sized(8, 5), sized(23, 31), sized(40, 7, "stretch", "bicubic")):
        whole = prepare(image, spec)
        with monkeypatch.context() as patch:
            patch.setattr(preprocessing, "BAND_PIXELS", 100)
            np.testing.assert_array_equal(prepare(image, spec), whole)
