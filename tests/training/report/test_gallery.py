import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from oodguard.training.report.gallery import amplified, gallery, png_uri, worst_first
from tests.training.report.example import EVIDENCE


def test_png_uri_holds_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    scheme, _, data = png_uri((pixels / 255).astype(np.float32)).partition(",")
    assert scheme == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)


def test_amplified_perturbation_fills_the_range_around_grey() -> None:
    clean = np.full((1, 3, 3), 128, np.uint8)
    step = np.array([-2, 0, 2], np.float32)[None, :, None] / 255
    attacked = (clean / 255 + step).astype(np.float32)
    case = replace(EVIDENCE.worst_accepts[0], clean=clean, attacked=attacked)
    np.testing.assert_allclose(amplified(case)[0, :, 0], [0, 0.5, 1], atol=1e-4)


def test_gallery_shows_the_worst_of_every_set_before_any_second() -> None:
    cases = [(case.set_name, case.score) for case in worst_first(EVIDENCE.worst_accepts, 2.0)]
    assert cases == [("far", 0.25), ("near", 0.0), ("near", 0.125)]


def test_gallery_stops_at_the_byte_limit() -> None:
    whole = gallery(EVIDENCE.worst_accepts, 2.0)
    assert len(whole) == 3
    assert list(whole[0].images) == ["clean", "attacked", "perturbation"]
    sizes = [sum(map(len, each.images.values())) for each in whole]
    assert gallery(EVIDENCE.worst_accepts, 2.0, max_bytes=sum(sizes) - 1) == whole[:2]
    assert gallery(EVIDENCE.worst_accepts, 2.0, max_bytes=sum(sizes)) == whole
