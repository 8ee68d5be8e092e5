"""The segments of a JPEG, read without decoding: ITU T.81, B.1 and B.2.

Their number is limited. Pillow reads the segments before the first scan in Python: four million of
them, or of fill bytes, took 28 s and 600 MB. libjpeg passes over the whole image for each scan,
and a scan may have 40 bytes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from oodguard.models.errors import UndecodableImage

# An extended XMP record or an ICC profile has a few hundred.
MAX_SEGMENTS = 1000

# A record has one segment. Pillow copies what it has for each further one: a JPEG of 15 MB in 990
# segments took 4 s and the interpreter lock for milliseconds at a time.
MAX_EXIF_SEGMENTS = 16

APP1, EXIF = 0xE1, b"Exif\0\0"

# libjpeg writes 10, and optimizers up to 64.
MAX_SCANS = 100

# Fill and other bytes between the segments, before the first scan.
MAX_STRAY_BYTES = 65_536

# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC): table B.1.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})

# Markers without a length: RST0..RST7, SOI.
BARE_MARKERS = frozenset(range(0xD0, 0xD9))

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA

# The markers that both Pillow and libjpeg accept. They read the bytes behind others differently.
MARKERS = frozenset({*range(0xC0, 0xDE), *range(0xE0, 0xF0), 0xFE}) - {0xC8}

# Before the first scan, FF00 and FFFF are skipped.
HEADER_MARKER = re.compile(rb"\xff[^\x00\xff]")

# The end of a scan's data, which may contain FF00, restart markers and invalid markers.
SCAN_END = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegStructure:
    """The size of a JPEG in pixels, and the components whose pixels are spread over several scans.

    libjpeg keeps the coefficients of the whole image (ITU T.81, B.2.3) if it is progressive, or if
    the first scan has fewer components than the frame.
    """

    width: int
    height: int
    scanned_components: int


def read_structure(data: bytes) -> JpegStructure:
    """Read the structure of a JPEG, and check the number of segments and scans.

    Raises:
        UndecodableImage: Truncated or invalid before the frame header, or too many segments.
    """
    frame = components = exif_segments = 0
    several_scans = False
    for marker, position in _segments(data):
        if marker in START_OF_FRAME:
            frame = frame or position
            several_scans |= marker in PROGRESSIVE
            # libjpeg rejects a second frame, but maybe only after it has read the first.
            components = max(components, int.from_bytes(data[position + 9 : position + 10]))
        elif marker == APP1 and data.startswith(EXIF, position + 4):
            exif_segments += 1
            _check_count("EXIF segments", exif_segments, MAX_EXIF_SEGMENTS)
        elif marker == START_OF_SCAN:
            several_scans |= data[position + 4] < components
            if not several_scans:
                # libjpeg rejects a second scan.
                break
    if not frame:
        raise _invalid_headers()
    return JpegStructure(
        width=int.from_bytes(data[frame + 7 : frame + 9]),
        height=int.from_bytes(data[frame + 5 : frame + 7]),
        scanned_components=components if several_scans else 0,
    )


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the position of each segment, up to the end of the image."""
    position = 2
    segments = scans = stray_bytes = 0
    while True:
        if scans:
            found = SCAN_END.search(data, position)
        else:
            found = HEADER_MARKER.search(data, position, position + MAX_STRAY_BYTES + 3)
        if found is None:
            stray_bytes += 0 if scans else len(data) - position
            _check_count("stray bytes between its headers", stray_bytes, MAX_STRAY_BYTES)
            return
        start = found.start()
        marker = data[start + 1]
        if not scans:
            stray_bytes += start - position
            _check_count("stray bytes between its headers", stray_bytes, MAX_STRAY_BYTES)
        if marker == END_OF_IMAGE and scans:
            return
        if marker == END_OF_IMAGE or marker not in MARKERS:
            raise _invalid_headers()
        segments += 1
        scans += marker == START_OF_SCAN
        _check_count("segments", segments, MAX_SEGMENTS)
        _check_count("scans", scans, MAX_SCANS)
        position = start + 2
        if marker not in BARE_MARKERS:
            if start + 9 > len(data):
                return
            yield marker, start
            position += max(2, int.from_bytes(data[start + 2 : start + 4]))


def _check_count(what: str, count: int, maximum: int) -> None:
    if count > maximum:
        raise UndecodableImage(
            f"the JPEG has more than {maximum} {what}, expected at most {maximum}"
        )


def _invalid_headers() -> UndecodableImage:
    return UndecodableImage("the JPEG is truncated or invalid within its headers")
