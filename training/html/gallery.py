"""The worst false accepts as pictures: as it came, as attacked, and what was added, amplified."""

import base64
import io
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.evidence import Evidence, FalseAccept
from training.html.legend import budget
from training.html.markup import Markup, element
from training.html.section import paragraph, section
from training.html.shown_budget import shown_condition
from training.report import Report

Pixels = NDArray[np.float32]

MOST_BYTES = 240_000
"""Of pictures on a page, as text: a bundle carries the page and must stay small."""


def gallery_section(report: Report, evidence: Evidence) -> Markup | None:
    """Return a grid of false accepts under the shown budget; None where none was attacked."""
    shown = shown_condition(report)
    if shown is None:
        return None
    cases = worst_first(evidence.worst_accepts, shown.epsilon_255)
    at = budget(shown.epsilon_255)
    if not cases:
        return section(
            "The worst false accepts", paragraph(f"Attacked at {at}, no outlier was accepted.")
        )
    return section(
        f"The worst false accepts, attacked at {at}",
        paragraph(
            "Outliers that the attack had accepted, the most confidently accepted of each set"
            " first: as they came, attacked, and what was added, amplified"
            f" {127.5 / shown.epsilon_255:.4g} times around grey."
        ),
        grid(cases),
    )


def worst_first(cases: tuple[FalseAccept, ...], epsilon_255: float) -> list[FalseAccept]:
    """Return this budget's cases: the worst of every set, then the second worst, and so on."""
    of_set: dict[str, list[FalseAccept]] = {}
    for case in sorted(cases, key=lambda case: case.score):
        if case.epsilon_255 == epsilon_255:
            of_set.setdefault(case.set_name, []).append(case)
    rounds = zip_longest(*(of_set[name] for name in sorted(of_set)))
    return [case for case in chain.from_iterable(rounds) if case]


def grid(cases: list[FalseAccept]) -> Markup:
    """Return as many of the first cases as `MOST_BYTES` allow."""
    figures: list[Markup] = []
    room = MOST_BYTES
    for case in cases:
        figure = _figure(case)
        room -= len(figure)
        if room < 0:
            break
        figures.append(figure)
    return element("div", *figures, class_="gallery")


def amplified(case: FalseAccept) -> Pixels:
    """Return the perturbation so that 0 is middle grey, -epsilon black and +epsilon white."""
    added = case.attacked - _unit(case.clean)
    shown = 0.5 + added * (255 / (2 * case.epsilon_255))
    return shown.clip(0, 1).astype(np.float32)


def png_uri(pixels: Pixels) -> str:
    """Return an image `(H, W, 3)` in [0, 1] as the data URI of a PNG."""
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _figure(case: FalseAccept) -> Markup:
    return element(
        "figure",
        _picture(_unit(case.clean), "clean", case),
        _picture(case.attacked, "attacked", case),
        _picture(amplified(case), "added", case),
        element(
            "figcaption",
            element("strong", case.set_name),
            " accepted as ",
            element("strong", case.predicted_class),
            f"; score {case.clean_score:.2f} clean, {case.score:.2f} attacked",
        ),
    )


def _picture(pixels: Pixels, what: str, case: FalseAccept) -> Markup:
    image = element(
        "img",
        src=png_uri(pixels),
        alt=f"an image of {case.set_name}, {what}",
        width=pixels.shape[1],
        height=pixels.shape[0],
    )
    return element("span", image, element("small", what), class_="picture")


def _unit(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels.astype(np.float32) / np.float32(255)
