import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oodguard.client.errors import UnreadableImageError
from oodguard.client.images import name_of, read, several
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from tests.service.pictures import RED, animated, encode, halves, noisy, plain

SPEC = InputSpec(height=8, width=16, fit="stretch")


def decoded(content: object) -> Image.Image:
    assert isinstance(content, bytes)
    return Image.open(io.BytesIO(content))


def test_client_sends_files_and_bytes_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"any bytes")
    assert read(path, 0) == read(str(path), 0) == read(b"any bytes", 0) == b"any bytes"
    assert (name_of(path, 3), name_of(b"", 3)) == (str(path), "images[3]")


def test_client_needs_no_memory_for_the_largest_file(tmp_path: Path) -> None:
    """Its limit is 256 MiB, and `read(n)` allocates n bytes."""
    path = tmp_path / "a.png"
    path.write_bytes(b"any bytes")
    tracemalloc.start()
    try:
        read(path, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_client_copies_arrays_which_the_caller_may_reuse() -> None:
    frame = np.full((4, 5, 3), 7, np.uint8)
    content = read(frame[:, ::-1], 0)
    frame[:] = 0
    assert isinstance(content, np.ndarray)
    assert content.flags.c_contiguous
    assert (content == 7).all()


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"]
)
def test_client_sends_pil_images_that_prepare_to_the_same_pixels(mode: str) -> None:
    image = noisy((16, 8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 256)
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert(mode)
    if mode in {"LA", "RGBA"}:
        image.putalpha(image.getchannel(0))
    expected = prepare(image, SPEC)
    assert (prepare(decoded(read(image, 0)), SPEC) == expected).all()


def test_client_keeps_the_orientation_and_transparency_of_pil_images() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    image = Image.open(io.BytesIO(encode(halves((255, 0, 0), (0, 0, 255)), "PNG", exif=exif)))
    upright = prepare(decoded(read(image, 0)), SPEC)
    assert upright[0, 0].tolist() == [0, 0, 255]
    clear = Image.new("P", (16, 8))
    clear.info["transparency"] = 0
    assert (prepare(decoded(read(clear, 0)), SPEC) == 255).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"images\[5\]: the array is uint8 \(8, 8\), expected uint8"),
        (np.zeros((8, 8, 3), np.float32), "the array is float32"),
        (np.zeros((0, 8, 3), np.uint8), r"the array is uint8 \(0, 8, 3\)"),
        (Image.new("F", (2, 2)), "the pixel mode is F, expected one of 1, CMYK"),
        (Image.new("RGB", (0, 2)), "the image is 0x2, expected at least 1x1"),
        (Image.open(io.BytesIO(animated("GIF"))), "the image is animated or has several pages"),
        (Image.open(io.BytesIO(encode(noisy())[:-99])), "cannot be read: image file is truncated"),
        ("missing.png", "missing.png: the file cannot be read: No such file"),
        ("a\0b.png", "embedded null"),
        (Path(), r"\.: the path is a folder, expected an image file"),
        ("/dev/zero", "/dev/zero: the path is a pipe or a device, expected an image file"),
    ],
)
def test_client_error_names_an_image_that_cannot_be_sent(image: object, message: str) -> None:
    with pytest.raises(UnreadableImageError, match=message) as raised:
        read(image, 5)  # type: ignore[arg-type]
    assert raised.value.index == 5
    assert raised.value.name in {"images[5]", str(image)}


def test_client_reads_no_file_beyond_the_limit(tmp_path: Path) -> None:
    (tmp_path / "sparse.png").touch()
    os.truncate(tmp_path / "sparse.png", 2**42)
    with pytest.raises(
        UnreadableImageError, match="4398046511104 bytes, expected at most 268435456"
    ):
        read(tmp_path / "sparse.png", 0)


def test_client_error_names_an_image_with_damaged_metadata() -> None:
    image = Image.new("RGB", (4, 4))
    image.info["exif"] = 5
    with pytest.raises(UnreadableImageError, match=r"images\[0\]: the image cannot be encoded"):
        read(image, 0)


def test_client_reads_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImageError, match="a pipe or a device"):
        read(tmp_path / "pipe.png", 0)


@pytest.mark.parametrize("image", [None, 3, ["a.png"]])
def test_client_rejects_objects_that_are_no_images(image: object) -> None:
    with pytest.raises(TypeError, match=r"images\[0\] is \w+, expected a path, encoded bytes"):
        read(image, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", ["a.png", Path("a.png"), b"a", plain(RED), 3, None])
def test_client_rejects_one_image_in_place_of_several(one: object) -> None:
    with pytest.raises(TypeError, match="expected several images in a list"):
        several(one)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"array \(8, 8, 3\), expected \(n, H, W, 3\)"):
        several(np.zeros((8, 8, 3), np.uint8))
