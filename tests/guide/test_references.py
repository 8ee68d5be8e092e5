"""The reference tables in docs/ are those of the code."""

import pytest
from pydantic import BaseModel, Field

from guide.references.__main__ import GENERATORS, outdated_pages
from guide.references.blocks import linked, renew
from guide.references.recipe import model_rows
from guide.references.service import metrics_table


def test_reference_pages_are_up_to_date() -> None:
    # The metrics are those of a running service: tests/service/telemetry/test_metrics.py.
    generators = {name: GENERATORS[name] for name in GENERATORS if name != "metrics"}
    assert [page.name for page, _ in outdated_pages(generators)] == []


def test_reference_blocks_are_replaced_and_other_text_stays() -> None:
    page = "before\n\n<!-- generated: x -->\n\nold\n\n<!-- end -->\n\nafter\n"
    renewed = renew(page, {"x": lambda: "new\n"})
    assert renewed == "before\n\n<!-- generated: x -->\n\nnew\n\n<!-- end -->\n\nafter\n"


def test_reference_texts_link_the_pages_that_they_name() -> None:
    assert (
        linked("a, docs/training.md#networks;\n    b") == "a, [training](training.md#networks); b"
    )


class _Table(BaseModel):
    """A table."""

    count: int = Field(default=3, ge=1, lt=9)
    """The number."""

    name: str | None = None
    """The name."""


def test_recipe_reference_has_type_bounds_default_and_meaning() -> None:
    assert model_rows(_Table, "t.").splitlines()[2:] == [
        "| `t.count` | integer, at least 1, below 9 | `3` | The number. |",
        "| `t.name` | text | none | The name. |",
    ]


class _Undocumented(BaseModel):
    key: int = 0


def test_recipe_reference_requires_a_docstring_for_every_key() -> None:
    with pytest.raises(LookupError, match=r"_Undocumented\.key has no docstring"):
        model_rows(_Undocumented, "")


EXPOSITION = """\
# HELP a_total Things, by kind.
# TYPE a_total counter
a_total{kind="x"} 1.0
# HELP b A new one.
# TYPE b gauge
b 1.0
"""


def test_metrics_reference_keeps_meanings_and_adds_new_metrics() -> None:
    page = "| `a_total` | gauge | | things: `x` |\n| `gone` | gauge | | old |\n"
    assert metrics_table(EXPOSITION, page).splitlines()[2:] == [
        "| `a_total` | counter | `kind` | things: `x` |",
        "| `b` | gauge | | A new one. |",
    ]
