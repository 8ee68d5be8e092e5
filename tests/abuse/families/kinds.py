"""Images of unusual kinds: animations, palettes, other bit depths, other formats."""

from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from tests.abuse.bodies import noise
from tests.abuse.case import DECODED, OK, Case, accept, once, posts, request
from tests.service.pictures import animated, encode, plain

ANIMATED = accept("unsupported-image")


def cases(rng: np.random.Generator) -> Iterator[Case]:
    for kind in ["GIF", "WEBP", "PNG"]:
        mime = f"image/{kind.lower()}" if kind != "GIF" else "image/png"
        yield once(f"an animated {kind}", request(animated(kind), mime), ANIMATED)
    many = [plain((shade, 0, 0)) for shade in range(200)]
    for kind in ["WEBP", "PNG"]:
        data = encode(many[0], kind, save_all=True, append_images=many[1:])
        yield once(f"a {kind} of 200 frames", request(data, "image/png"), ANIMATED)
    yield from posts(_modes(rng), "image/png", accept(OK))
    yield from posts(_jpegs(rng), "image/jpeg", DECODED)
    rejected = accept("unsupported-image", "undecodable-image")
    yield from posts(_other_formats(rng), "image/png", rejected)


def _modes(rng: np.random.Generator) -> Mapping[str, bytes]:
    picture = noise(rng)
    grey16 = Image.fromarray(rng.integers(0, 65_536, (9, 9), np.uint16))
    return {
        **{
            f"a palette of {2**bits} colours": encode(picture.quantize(2**bits), bits=bits)
            for bits in (1, 2, 4, 8)
        },
        "a palette, all of it transparent": encode(picture.quantize(16), transparency=bytes(16)),
        "16 bit grey": encode(grey16),
        "16 bit grey with a transparent value": encode(grey16, transparency=77),
        "1 bit": encode(picture.convert("1")),
        "grey": encode(picture.convert("L")),
        "grey with a transparent value": encode(picture.convert("L"), transparency=9),
        "grey and alpha": encode(picture.convert("LA")),
        "alpha": encode(picture.convert("RGBA")),
        "a transparent colour": encode(picture, transparency=(1, 2, 3)),
        "1 x 1": encode(plain(size=(1, 1))),
        "1 x 5000": encode(plain(size=(1, 5000))),
        "5000 x 1": encode(plain(size=(5000, 1))),
    }


def _jpegs(rng: np.random.Generator) -> Mapping[str, bytes]:
    picture = noise(rng)
    cmyk = encode(picture.convert("CMYK"), "JPEG")
    baseline = encode(picture, "JPEG")
    adobe = cmyk.index(b"Adobe") + 11
    return {
        "cmyk": cmyk,
        "ycck": cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :],
        "cmyk of unknown transform": cmyk[:adobe] + b"\xff" + cmyk[adobe + 1 :],
        "grey jpeg": encode(picture.convert("L"), "JPEG"),
        **{f"of subsampling {kind}": encode(picture, "JPEG", subsampling=kind) for kind in (0, 1)},
        "of RGB samples": encode(picture, "JPEG", keep_rgb=True),
        "followed by another": baseline + baseline,
        "followed by zeros": baseline + bytes(1000),
        "progressive cmyk": encode(picture.convert("CMYK"), "JPEG", progressive=True),
        "two pictures in one (MPO)": encode(picture, "MPO", save_all=True, append_images=[picture]),
        "with restart markers": encode(picture, "JPEG", restart_marker_blocks=1),
        "of quality 1": encode(picture, "JPEG", quality=1),
        **{
            f"whose frame is SOF{number}": baseline.replace(
                b"\xff\xc0", bytes([0xFF, 0xC0 + number]), 1
            )
            for number in (1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15)
        },
        "of 12 bits": baseline.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1),
        "of 5 components": baseline.replace(b"\x03\x01", b"\x05\x01", 1),
        "of no components": baseline.replace(b"\x03\x01", b"\x00\x01", 1),
        "without its tables": baseline.replace(b"\xff\xdb", b"\xff\xe9").replace(
            b"\xff\xc4", b"\xff\xe9"
        ),
        "of its beginning and end": b"\xff\xd8\xff\xd9",
    }


def _other_formats(rng: np.random.Generator) -> Mapping[str, bytes]:
    picture = noise(rng)
    saved = ["GIF", "TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "SGI", "DDS", "AVIF", "JPEG2000"]
    return {
        **{f"a {kind}": encode(picture, kind) for kind in saved},
        "an SVG that names a file": b"<svg><image href='file:///etc/passwd'/></svg>",
        "XML with entities": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n",
        "a PDF": b"%PDF-1.7\n" + rng.bytes(100),
        "an ImageMagick script": b"push graphic-context\nfill 'url(https://x/|id)'\n",
        "a ZIP": b"PK\3\4" + rng.bytes(100),
        "an ELF": b"\x7fELF" + rng.bytes(100),
        "a pickle": b"\x80\4c__builtin__\neval\n(V1\ntR.",
        "a signature of PNG alone": b"\x89PNG\r\n\x1a\n",
        "a RIFF that is a sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
        "a HEIC": b"\0\0\0\x18ftypheic" + rng.bytes(40),
        "random bytes": rng.bytes(5000),
        "zeros": bytes(5000),
    }
