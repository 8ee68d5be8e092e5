"""Render matplotlib figures as SVG: deterministic, without fonts, and readable in both themes."""

import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

COLOURS: Mapping[str, str] = {
    "ink": "#1b2230",
    "quiet": "#566072",
    "grid": "#e9ecf1",
    "card": "#ffffff",
    "l0": "#0b5cad",
    "l1": "#e09a00",
    "l2": "#d65f00",
    "l3": "#b3243c",
    "l4": "#6a1b5e",
}
"""The colours of figures by the name of the CSS variable that replaces them in the page."""

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_XLINK_HREF = "{http://www.w3.org/1999/xlink}href"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in SVG user units, independent of pyplot's state."""
    figure = Figure(figsize=(width / 72, height / 72))
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure)
    return figure


def svg_document(figure: Figure) -> str:
    """Render a figure as an SVG document. The same figure gives the same bytes."""
    file = io.StringIO()
    with mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
            "svg.hashsalt": "ood-guard",
            "path.simplify": True,
            "path.simplify_threshold": 1.0,
        }
    ):
        figure.savefig(file, format="svg", metadata=_NO_METADATA)
    return file.getvalue()


def inline_svg(figure: Figure, *, key: str, title: str, description: str) -> Markup:
    """Render a figure as an `svg` element of an HTML page.

    The colours become the page's CSS variables, so that they follow its light or dark theme.

    Args:
        figure: the figure.
        key: a prefix of all ids, unique in the page.
        title: the name that a screen reader announces.
        description: the content of the figure in words.
    """
    root = ET.fromstring(svg_document(figure))  # noqa: S314 - matplotlib's output
    names = ET.Element("title", id=f"{key}-title"), ET.Element("desc", id=f"{key}-desc")
    names[0].text, names[1].text = title, description
    for node in list(root):
        if node.find("{*}style") is not None:
            root.remove(node)  # it would apply to the whole page
    for element in root.iter():
        _clean(element, key)
    root[:0] = names
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-desc",
    }
    return Markup(ET.tostring(root, encoding="unicode", short_empty_elements=False))  # noqa: S704


def _clean(element: ET.Element, key: str) -> None:
    """Drop the XML namespaces, unused ids and blanks of an element, and make its ids unique."""
    element.tag = element.tag.rpartition("}")[2]
    if element.tag != "text":
        element.text = None
    element.tail = None
    name = element.attrib.pop("id", "")
    if element.tag in {"path", "clipPath"} and name:  # matplotlib refers to no other element
        element.set("id", f"{key}-{name}")
    if _XLINK_HREF in element.attrib:
        element.set("href", f"#{key}-{element.attrib.pop(_XLINK_HREF).removeprefix('#')}")
    if "clip-path" in element.attrib:
        element.set("clip-path", element.attrib["clip-path"].replace("#", f"#{key}-"))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for attribute in element.attrib.keys() & {"d", "x", "y", "width", "height", "transform"}:
        element.set(attribute, _short(element.attrib[attribute]))
    if "style" in element.attrib:
        element.set("style", _themed(element.attrib["style"]))


def _short(numbers: str) -> str:
    """Round coordinates to one decimal, and leave out repeated commands of a path."""
    rounded = re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.1f}", numbers)
    return re.sub(r"(L [\d. -]+)(?:L )", r"\1", " ".join(rounded.replace(".0", "").split()))


def _themed(style: str) -> str:
    """Replace the colours by CSS variables, and leave the font family to the page."""
    for name, colour in COLOURS.items():
        style = style.replace(colour, f"var(--{name})")
    return re.sub(r"font-family: [^;]*(; )?", "", style)
