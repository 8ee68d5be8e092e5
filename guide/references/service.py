"""The settings, metrics and problems of the service."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from guide.references.blocks import linked, table
from oodguard.service.api.problem_types import ALL_TYPES
from oodguard.service.app import create_app
from oodguard.service.settings import Settings, describe

_METRIC_ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| \w+ \| (?P<labels>[^|]*)\| (?P<meaning>.+) \|$", re.MULTILINE
)


def settings_table() -> str:
    """Return the table of all settings."""
    rows = [[f"`{name}`", default, meaning] for name, default, meaning in describe()]
    return table(["variable", "default", "meaning"], rows)


def problem_sections() -> str:
    """Return a section for every type of problem, in the order of the statuses."""
    return "\n\n".join(
        f"### {each.slug}\n\n{each.status}. {linked(each.meaning)}\n\nRemedy: {linked(each.remedy)}"
        for each in ALL_TYPES
    )


def metrics_table(exposition: str, page: str) -> str:
    """Return the table of all metrics: name, type and labels of the code.

    The meaning is that of the page, which may explain more than the help text of the metric; a
    metric that the page lacks has its help text. Labels of a metric without samples are the page's.

    Args:
        exposition: The response of `/metrics`, after a request.
        page: The text of docs/metrics.md.
    """
    known = {match["name"]: match for match in _METRIC_ROW.finditer(page)}
    rows = []
    for family in text_string_to_metric_families(exposition):
        name = family.name + ("_total" if family.type == "counter" else "")
        before = known.get(name)
        found = {label for each in family.samples for label in each.labels} - {"le"}
        shown = re.findall(r"`(\w+)`", before["labels"]) if before else []
        labels = shown if found == set(shown) or not family.samples else sorted(found)
        rows.append(
            [
                f"`{name}`",
                family.type,
                ", ".join(f"`{label}`" for label in labels),
                before["meaning"] if before else linked(family.documentation),
            ]
        )
    order = list(known)
    rows.sort(key=lambda row: order.index(row[0][1:-1]) if row[0][1:-1] in known else len(order))
    return table(["metric", "type", "labels", "meaning"], rows)


def exposition() -> str:
    """Return the response of `/metrics` of a service with default settings, after a request."""
    image = Path(__file__).parents[2] / "tests" / "data" / "textures" / "00057.png"
    with TestClient(create_app(Settings())) as client:
        client.post("/predict", files={"files": image.read_bytes()})
        return client.get("/metrics").text
