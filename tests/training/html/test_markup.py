import pytest

from oodguard.training.report.html_helpers import Markup, element, joined, number


def test_text_and_attributes_are_escaped_and_markup_is_not_escaped_twice() -> None:
    inner = element("b", "a < b & c")
    outer = element("p", inner, "<i>", title='say "<b>"')
    assert outer == '<p title="say &quot;&lt;b&gt;&quot;"><b>a &lt; b &amp; c</b>&lt;i&gt;</p>'


def test_text_made_of_markup_is_text_again() -> None:
    assert joined(f"{element('b')}") == "&lt;b&gt;&lt;/b&gt;"
    assert joined(Markup("<b>")) == "<b>"


def test_names_are_spelled_as_html_spells_them_and_none_is_left_out() -> None:
    assert element("img", class_="a", aria_label=None, stroke_width=1.5, viewBox="0") == (
        '<img class="a" stroke-width="1.5" viewBox="0">'
    )


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (0.5, "0.5"), (1.0051, "1.01"), (-0.001, "0"), (100, "100")]
)
def test_a_coordinate_is_written_short(value: float, text: str) -> None:
    assert number(value) == text
