"""The names of the exposed series and their labels."""

import re
from collections.abc import Mapping

from prometheus_client.metrics_core import Metric

from tests.deploy.promql import Labels
from tests.service.checks import DOCS

SCRAPE_LABELS = {"job", "instance"}
ROW = re.compile(r"^\| `(?P<name>\w+)` \| \w+ \| (?P<labels>[^|]*)\|", re.MULTILINE)


def documented_labels() -> Mapping[str, Labels]:
    """Return the labels by metric in docs/metrics.md."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return {
        row["name"]: frozenset(re.findall(r"`(\w+)`", row["labels"])) for row in ROW.finditer(text)
    }


def family_name(family: Metric) -> str:
    """Return the name of a family in docs/metrics.md."""
    return family.name + ("_total" if family.type == "counter" else "")


def series_of(family: Metric, labels: Labels) -> Mapping[str, Labels]:
    """Return the scraped series of a family by name, each with its labels."""
    scraped = labels | SCRAPE_LABELS
    name = family_name(family)
    if family.type != "histogram":
        return {name: scraped}
    return {f"{name}_sum": scraped, f"{name}_count": scraped, f"{name}_bucket": scraped | {"le"}}
