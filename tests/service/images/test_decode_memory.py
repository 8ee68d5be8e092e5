"""The estimate of a decoder's memory: by hand for known headers, and against the measured peak."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo, iTXt

from oodguard.models.errors import ImageTooLarge
from oodguard.models.manifest import InputSpec
from oodguard.service.images.decode_memory import (
    CONVERSION_BYTES,
    FILE_COPIES,
    TEXT_BYTES,
    check_image_size,
    decode_bytes,
    largest_decode_bytes,
)
from oodguard.service.images.header import EncodedImage, read_header
from tests.service.pictures import claiming_jpeg, claiming_png, claiming_webp, encode, plain

SPEC = InputSpec(height=32, width=32)
# The pixels of the model's input are copied three times.
PREPARED = 3 * 3 * 32 * 32
STRETCH = InputSpec(height=32, width=32, fit="stretch")


def without_fixed_parts(data: bytes) -> int:
    # The window of a square image: 2 x 1000 pixels would be more than its side.
    resize = 4 * 32 * 1000 + PREPARED
    image = EncodedImage(data=data)
    files = FILE_COPIES[image.header.format] * len(data)
    return decode_bytes(image, SPEC) - files - CONVERSION_BYTES - resize


@pytest.mark.parametrize(
    ("data", "pixel_bytes"),
    [
        (claiming_png(1000, 1000), 8),
        (claiming_jpeg(1000, 1000), 8),
        (claiming_webp(1000, 1000), 12),
        (encode(plain(size=(1000, 1000)), "JPEG", progressive=True), 10),
        (encode(Image.new("CMYK", (1000, 1000)), "JPEG", progressive=True), 12),
        (encode(Image.new("L", (1000, 1000)), "JPEG", progressive=True), 8),
    ],
    ids=["PNG", "JPEG", "WebP", "several scans", "CMYK, several scans", "grey, several scans"],
)
def test_decode_memory_is_a_number_of_bytes_a_pixel(data: bytes, pixel_bytes: int) -> None:
    assert without_fixed_parts(data) == pixel_bytes * 10**6


CMYK = Image.new("CMYK", (1200, 1000))


@pytest.mark.parametrize(
    ("data", "max_pixels"),
    [
        (claiming_png(1200, 1000), 1_200_000),
        (claiming_jpeg(1200, 1000), 1_200_000),
        (encode(plain(size=(1200, 1000)), "JPEG", progressive=True), 1_200_000),
        (encode(CMYK, "JPEG"), 1_200_000),
        (claiming_webp(1200, 1000), 1_440_000),
        (encode(CMYK, "JPEG", progressive=True), 1_440_000),
    ],
    ids=["PNG", "JPEG", "progressive JPEG", "CMYK JPEG", "WebP", "progressive CMYK JPEG"],
)
def test_decode_memory_limits_the_pixels_of_formats_that_take_most(
    data: bytes, max_pixels: int
) -> None:
    header = read_header(data)
    check_image_size(header, max_pixels)
    with pytest.raises(ImageTooLarge, match="1200 x 1000 = 1200000 pixels, expected at most"):
        check_image_size(header, max_pixels - 1)


def test_decode_memory_error_names_the_format_and_its_limit() -> None:
    message = (
        "the WEBP has 1200 x 1000 = 1200000 pixels, expected at most 1000000 for this format,"
        " which takes 12 bytes of memory a pixel: send fewer pixels, a baseline JPEG or a PNG"
    )
    with pytest.raises(ImageTooLarge, match=message):
        check_image_size(read_header(claiming_webp(1200, 1000)), 1_200_000)
    with pytest.raises(ImageTooLarge, match="the CMYK JPEG of several scans has 1200 x 1000"):
        check_image_size(read_header(encode(CMYK, "JPEG", progressive=True)), 1_200_000)


def test_decode_memory_of_a_jpeg_counts_the_frame_with_most_components() -> None:
    progressive = encode(CMYK, "JPEG", progressive=True)
    end = progressive.index(b"\xff\xda")
    frame = b"\xff\xc2\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"
    header = read_header(progressive[:end] + frame + progressive[end:])
    assert (header.width, header.height, header.scanned_components) == (1200, 1000, 4)


def test_decode_memory_of_a_png_includes_its_texts() -> None:
    info = PngInfo()
    info.add_text("comment", "a", zip=True)
    assert without_fixed_parts(encode(plain(size=(1000, 1000)), pnginfo=info)) == (
        8 * 10**6 + TEXT_BYTES
    )


def test_decode_memory_of_raw_pixels_includes_their_copy() -> None:
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    assert decode_bytes(pixels, SPEC) == 7 * 10**6 + CONVERSION_BYTES + 4 * 32 * 1000 + PREPARED


def test_decode_memory_of_a_stretched_strip_includes_its_first_resized_side() -> None:
    # Pillow resizes one side first: 65535 rows of 32 RGB pixels, 4 bytes each.
    strip = EncodedImage(data=claiming_png(1, 65_535))
    assert decode_bytes(strip, STRETCH) > 4 * 32 * 65_535 > decode_bytes(strip, SPEC) - 32 * 65_535


@pytest.mark.parametrize("size", [(1, 1), (1, 40_000), (100, 400), (140, 285), (200, 200)])
@pytest.mark.parametrize("spec", [SPEC, InputSpec(height=8, width=64), STRETCH])
def test_largest_decode_memory_is_at_least_that_of_every_image(
    size: tuple[int, int], spec: InputSpec
) -> None:
    limit = largest_decode_bytes(spec, max_pixels=40_000, max_bytes=10_000)
    info = PngInfo()
    info.add_text("comment", "a", zip=True)
    texts = encode(plain(size=size), pnginfo=info)
    progressive = encode(plain(size=size), "JPEG", progressive=True, quality=1)
    for data in (texts, progressive, encode(plain(size=(200, 166)), "WEBP")):
        assert decode_bytes(EncodedImage(data=data), spec) <= limit


def test_jpeg_scans_are_read_from_the_first_scan_header() -> None:
    baseline = encode(plain(), "JPEG")
    assert not read_header(baseline).scanned_components
    # Component count of the scan header (ITU T.81, B.2.3): 1 of the frame's 3.
    separate = bytearray(baseline)
    separate[baseline.index(b"\xff\xda") + 4] = 1
    assert read_header(bytes(separate)).scanned_components == 3
    assert read_header(encode(plain(), "JPEG", progressive=True)).scanned_components == 3
    assert not read_header(encode(plain().convert("L"), "JPEG")).scanned_components
    assert not read_header(encode(plain(), "WEBP")).scanned_components


PEAK = """
import sys
from pathlib import Path
from PIL import Image
from oodguard.models.errors import ImageTooLarge
from oodguard.models.manifest import InputSpec
from oodguard.service.images.decode import decode_image
from oodguard.service.images.decode_memory import decode_bytes, limit_png_texts
from oodguard.service.images.header import EncodedImage

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))

limit_png_texts()
spec = InputSpec(height=int(sys.argv[1]), width=int(sys.argv[1]))
small, large = (EncodedImage(data=Path(each).read_bytes()) for each in sys.argv[2:])
decode_image(small, spec, max_pixels=10**8)  # imports, tables
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
idle = status("VmRSS")
decode_image(large, spec, max_pixels=10**8)
print(status("VmHWM") - idle, decode_bytes(large, spec))
"""


def noise(mode: str, side: int) -> Image.Image:
    channel = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(channel.astype(np.uint16) * 257)
    return Image.merge("RGBA", [Image.fromarray(channel)] * 4).convert(mode)


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def texts() -> PngInfo:
    info = PngInfo()
    for index in range(7):  # after a character of 4 bytes, Python stores all with 4 bytes
        info.add_itxt(f"comment {index}", iTXt("\U0001f600" + "a" * (2**20 - 10)), zip=True)
    return info


MODEL_SIDE, IMAGE_SIDE = 32, 3000


# Measured in bytes a pixel with Pillow 13.0: 5.1, 5.1, 8.2, 4.0, 8.2, 8.2, 5.1, 6.2, 4.0, 8.1, 5.1,
# 10.0, 8.1, 12.0, 12.0 and 12.8.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "1", {}),
        ("PNG", "L", {}),
        ("PNG", "LA", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGB", {"transparency": (1, 2, 3)}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {"transparency": bytes(256)}),
        ("PNG", "I;16", {}),
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"exif": rotated()}),
        ("JPEG", "L", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True, "quality": 0}),
    ],
)
def test_decode_memory_is_at_least_the_measured_peak(
    tmp_path: Path, kind: str, mode: str, options: dict[str, object]
) -> None:
    measured, estimated = measure(tmp_path, kind, noise(mode, IMAGE_SIDE), options)
    assert measured <= estimated


# A JPEG of the model's size is decoded without Pillow's image. Measured in bytes a pixel with
# simplejpeg 1.9: 3.0, 3.0 and 9.0; CMYK by Pillow 14 to 17.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("L", {}),
        ("RGB", {"progressive": True, "subsampling": 0}),
        ("CMYK", {}),
    ],
)
def test_decode_memory_of_a_jpeg_of_the_models_size_is_at_least_the_measured_peak(
    tmp_path: Path, mode: str, options: dict[str, object]
) -> None:
    image = noise(mode, IMAGE_SIDE)
    measured, estimated = measure(tmp_path, "JPEG", image, options, side=IMAGE_SIDE)
    assert measured <= estimated


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_decode_memory_of_a_small_png_with_long_texts_is_at_least_the_measured_peak(
    tmp_path: Path,
) -> None:
    measured, estimated = measure(tmp_path, "PNG", noise("L", 8), {"pnginfo": texts()})
    assert 28 * 10**6 < measured <= estimated


# Measured in files of 8 MB: 1.0, 2.0, 3.0 and 4.0.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
@pytest.mark.parametrize("start", [b"", b"MPF\0", b"ICC_PROFILE\0\1\1"])
@pytest.mark.parametrize("side", [MODEL_SIDE, 64])
def test_decode_memory_of_a_small_jpeg_of_many_segments_is_at_least_the_measured_peak(
    tmp_path: Path, start: bytes, side: int
) -> None:
    small = encode(plain(size=(64, 64)), "JPEG")
    segment = b"\xff\xe2\xff\xf0" + start.ljust(0xFFEE, b"x")
    (tmp_path / "small").write_bytes(small)
    (tmp_path / "large").write_bytes(small[:2] + segment * 128 + small[2:])
    measured, estimated = peak(tmp_path, side)
    assert measured <= estimated


def measure(
    folder: Path,
    kind: str,
    image: Image.Image,
    options: dict[str, object],
    *,
    side: int = MODEL_SIDE,
) -> tuple[int, int]:
    small, large = folder / "small", folder / "large"
    small.write_bytes(encode(image.resize((9, 9)), kind, **options))
    large.write_bytes(encode(image, kind, **options))
    if "pnginfo" in options:
        small.write_bytes(encode(image, kind))
    return peak(folder, side)


def peak(folder: Path, side: int) -> tuple[int, int]:
    """Return the measured and the estimated memory of decoding the file `large` in a folder."""
    files = [str(folder / name) for name in ("small", "large")]
    command = [sys.executable, "-c", PEAK, str(side), *files]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    measured, estimated = (int(each) for each in run.stdout.split())
    return measured, estimated
