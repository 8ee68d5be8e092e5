from pathlib import Path

import pytest
from matplotlib.figure import Figure

from oodguard.training.report.page import TEMPLATES
from oodguard.training.report.svg import COLOURS, inline_svg, new_figure, svg_document
from tests.training.report.example import HOSTILE
from tests.training.report.parsing import Node, parse


@pytest.fixture
def figure() -> Figure:
    figure = new_figure(300, 200)
    axes = figure.add_axes((0.25, 0.25, 0.5, 0.5))
    axes.plot([0, 1, 2], [0, 1, 4], "o-", color=COLOURS["l0"])
    axes.set_xlabel("epsilon")
    return figure


def inline(figure: Figure, key: str = "k") -> Node:
    (svg,) = parse(inline_svg(figure, key=key, title=HOSTILE, description=HOSTILE)).children
    return svg


def test_svg_of_the_same_figure_is_the_same_and_has_no_metadata(figure: Figure) -> None:
    assert svg_document(figure) == svg_document(figure)
    assert "metadata" not in svg_document(figure)


def test_inline_svg_has_an_escaped_title_and_description(figure: Figure) -> None:
    svg = inline(figure)
    title, description = svg.every("title")[0], svg.every("desc")[0]
    assert (title.text, description.text) == (HOSTILE, HOSTILE)
    assert svg.attributes == {
        "viewbox": "0 0 300 200",
        "role": "img",
        "aria-labelledby": f"{title.attributes['id']} {description.attributes['id']}",
    }


def test_inline_svg_keeps_text_as_text(figure: Figure) -> None:
    assert "epsilon" in [text.text for text in inline(figure).every("text")]


def test_inline_svg_refers_to_its_own_ids_only(figure: Figure) -> None:
    svg = inline(figure, "a")
    ids = {node.attributes["id"] for node in svg.all() if "id" in node.attributes}
    used = {node.attributes["href"].removeprefix("#") for node in svg.every("use")}
    clips = {node.attributes["clip-path"] for node in svg.all() if "clip-path" in node.attributes}
    assert used
    assert clips
    assert used | {clip.removeprefix("url(#").removesuffix(")") for clip in clips} <= ids
    assert all(name.startswith("a-") for name in ids)


def test_inline_svg_takes_its_colours_from_the_page(figure: Figure) -> None:
    svg = inline(figure)
    assert svg.every("style") == []
    styles = " ".join(node.attributes.get("style", "") for node in svg.all())
    assert "var(--l0)" in styles
    assert COLOURS["l0"] not in styles
    assert "font-family" not in styles


def test_style_sheet_defines_every_colour_of_a_figure() -> None:
    css = Path(TEMPLATES, "style.css").read_text()
    for name, colour in COLOURS.items():
        assert f"--{name}: {colour};" in css
