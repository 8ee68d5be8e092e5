"""Print verdicts as a table, for `oodguard predict` with and without a server."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from oodguard.command_line.output import table_console
from oodguard.models.names import escape_control_characters

_STYLES = {"accept": "green", "reject": "bold red"}


def print_table(answer: Mapping[str, Any]) -> None:
    """Print one row for each file.

    Args:
        answer: The response body of POST /predict, with the file of each prediction.
    """
    score = answer["policy"]["score"]
    table = Table(caption=_plain(_rule(answer["policy"])))
    table.add_column("file", overflow="fold")
    left = {"label", "decision", "reasons"}
    for name in ("label", "confidence", score, "p-value", "decision", "reasons"):
        table.add_column(_plain(name), justify="left" if name in left else "right")
    for each in answer["predictions"]:
        decision = each["decision"]
        table.add_row(
            _plain(each["file"]),
            _plain(each["label"]),
            _number(each.get("confidence"), ".3f"),
            _number(each.get("scores", {}).get(score), ".4g"),
            f"{each['p_value']:.4f}",
            Text(decision, _STYLES[decision]),
            _plain(", ".join(reason["code"] for reason in each.get("reasons", []))),
        )
    table_console().print(table)


def _plain(text: str) -> Text:
    """Return a text without markup and control characters: a service may be hostile."""
    return Text(escape_control_characters(text))


def _rule(policy: Mapping[str, Any]) -> str:
    """State by which rule images are rejected."""
    score = policy["score"]
    if "fdr" in policy:
        rate = policy["fdr"]
        return f"rejected at the false-discovery rate {rate:g} by the p-values of {score}"
    if "threshold" not in policy:
        return f"rejected if {score} is above a threshold that the service omits"
    threshold = policy["threshold"]
    limit = "that of the predicted class" if threshold is None else f"{threshold:.4g}"
    return f"rejected if {score} > {limit}"


def _number(value: float | None, form: str) -> str:
    """Return a number, or nothing where the service omits it or has none."""
    return "" if value is None else format(value, form)
