"""The card of a bundle that was derived from another one: a new calibration, or attacked scores.

# NAME, version VERSION

SECTIONS, what was changed since the export

## Earlier versions

- version ...

The text below is the card of version ...

---

CARD OF THE EXPORT
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oodguard.models.manifest import Description
from oodguard.models.names import escape_control_characters

_DERIVED = re.compile(
    r"\A# [^\n]*\n\n(?P<sections>.*?)## Earlier versions\n\n(?P<history>(?:- [^\n]*\n)+)\n"
    r"(?P<note>The text below is the card of [^\n]*)\n\n---\n\n(?P<exported>.*)\Z",
    re.DOTALL,
)

_SECTION = re.compile(r"^## ([^\n]+)\n\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)

_MARKUP = re.compile(r"[\\`*_\[\]~|<>&]")


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedCard:
    """The parts of a card; that of an export has only the last one.

    Attributes:
        sections: The texts of the sections by heading.
        history: A line for each earlier version, the newest first.
        note: The sentence about the card of the export; empty in the card of an export.
        exported: The card of the export.
    """

    sections: Mapping[str, str]
    history: tuple[str, ...]
    note: str
    exported: str


def parse_card(card: str) -> DerivedCard:
    """Return the parts of a card."""
    found = _DERIVED.match(card)
    if found is None:
        return DerivedCard(sections={}, history=(), note="", exported=card)
    return DerivedCard(
        sections={heading: text.strip() for heading, text in _SECTION.findall(found["sections"])},
        history=tuple(line.removeprefix("- ") for line in found["history"].splitlines()),
        note=found["note"],
        exported=found["exported"],
    )


def derive_card(parent: Description, card: str, version: str, sections: Mapping[str, str]) -> str:
    """Return the card of a bundle that was derived from `parent`, whose card is `card`.

    The card of the export follows unchanged.

    Args:
        parent: The manifest of the bundle that is replaced.
        card: Its card.
        version: The version of the new bundle.
        sections: The sections of the new card by heading.
    """
    earlier = parse_card(card)
    note = earlier.note or evaluation_note(parent.version)
    history = (", ".join(_history(parent)), *earlier.history)
    return _join(parent.name, version, sections, history, note, earlier.exported)


def evaluated_again(description: Description, card: str, exported: str) -> str:
    """Return the card of a bundle after a new evaluation, whose card is `exported`."""
    earlier = parse_card(card)
    if not earlier.history:
        return exported
    note = evaluation_note(description.version)
    return _join(
        description.name, description.version, earlier.sections, earlier.history, note, exported
    )


def evaluation_note(version: str) -> str:
    """Return the sentence that states which version the figures were measured with."""
    shown = escape_markup(version)
    return (
        f"The text below is the card of version {shown}. The figures of its evaluation, which are"
        f" also in `evaluation.json`, were measured at the threshold of version {shown}."
    )


def escape_markup(text: str) -> str:
    """Return Markdown that renders as this text, in one line and without HTML."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", escape_control_characters(text))


def _history(description: Description) -> Iterator[str]:
    record, attack = description.calibration, description.calibration_attack
    yield f"version {escape_markup(description.version)}"
    if record is not None:
        groups = "" if record.groups is None else f" in {record.groups:,} groups"
        yield (
            f"calibrated {record.created:%Y-%m-%d %H:%M} UTC by {escape_markup(record.by)} on"
            f" {record.images:,} images{groups} of {escape_markup(record.source)}"
        )
    if attack is not None:
        yield f"{attack.images:,} of its calibration images attacked"


def _join(  # noqa: PLR0913 - the parts of a card in their order
    name: str,
    version: str,
    sections: Mapping[str, str],
    history: tuple[str, ...],
    note: str,
    exported: str,
) -> str:
    return "\n\n".join(
        (
            f"# {name}, version {version}",
            *(f"## {heading}\n\n{text}" for heading, text in sections.items()),
            "## Earlier versions",
            "\n".join(f"- {line}" for line in history),
            note,
            "---",
            exported,
        )
    )
