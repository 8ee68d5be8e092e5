import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from oodguard.training.report import page as gallery
from oodguard.training.report.model import EvaluationEvidence, Report
from oodguard.training.report.page import amplified, gallery_section, png_uri, worst_first
from tests.training.html.hostile import HOSTILE
from tests.training.html.parsing import parse


def test_a_picture_comes_back_from_its_data_uri() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    scheme, _, data = png_uri((pixels / 255).astype(np.float32)).partition(",")
    assert scheme == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)


def test_the_perturbation_fills_the_range_around_grey(evidence: EvaluationEvidence) -> None:
    case = evidence.worst_accepts[0]
    clean = np.full((1, 3, 3), 128, np.uint8)
    step = np.array([-2, 0, 2], np.float32)[None, :, None] / 255
    attacked = (clean / 255 + step).astype(np.float32)
    case = replace(case, clean=clean, attacked=attacked)
    np.testing.assert_allclose(amplified(case)[0, :, 0], [0, 0.5, 1], atol=1e-4)


def test_every_set_shows_its_worst_before_any_shows_its_second(
    evidence: EvaluationEvidence,
) -> None:
    cases = worst_first(evidence.worst_accepts, 2.0)
    assert [(case.set_name, case.score) for case in cases] == [
        ("far", 0.25),
        ("near", 0.0),
        ("near", 0.125),
    ]


def test_every_case_has_three_pictures_that_say_what_they_are(
    report: Report, evidence: EvaluationEvidence
) -> None:
    figures = parse(gallery_section(report, evidence) or "").every("figure")
    assert len(figures) == 3
    pictures = figures[0].every("img")
    assert [each.attributes["alt"] for each in pictures] == [
        "an image of far, clean",
        "an image of far, attacked",
        "an image of far, added",
    ]
    assert {each.attributes["width"] for each in pictures} == {"8"}
    caption = figures[0].every("figcaption")[0].text
    assert caption == f"far accepted as {HOSTILE}; score 1.25 clean, 0.25 attacked"


def test_no_more_is_shown_than_there_is_room_for(
    report: Report, evidence: EvaluationEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parse(gallery_section(report, evidence) or "").every("figure")
    assert len(whole) == 3
    monkeypatch.setattr(gallery, "MOST_BYTES", 2500)
    shown = gallery_section(report, evidence) or ""
    assert 0 < len(parse(shown).every("figure")) < 3
    assert sum(len(img.attributes["src"]) for img in parse(shown).every("img")) <= 2500


def test_it_says_so_where_nothing_was_accepted(
    report: Report, evidence: EvaluationEvidence
) -> None:
    section = gallery_section(report, replace(evidence, worst_accepts=()))
    (said,) = parse(section or "").every("p")
    assert said.text == "Attacked at 2/255, no outlier was accepted."
