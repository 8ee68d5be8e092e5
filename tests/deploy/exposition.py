"""What a running service tells Prometheus: the names of its series, and their labels."""

import re
from collections.abc import Mapping

from prometheus_client.metrics_core import Metric

from tests.deploy.promql import Labels
from tests.service.checks import DOCS

ADDED_BY_THE_SCRAPE = {"job", "instance"}
ROW = re.compile(r"^\| `(?P<name>\w+)` \| \w+ \| (?P<labels>[^|]*)\|", re.MULTILINE)


def documented_labels() -> Mapping[str, Labels]:
    """Labels by metric, as docs/metrics.md has them."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return {
        row["name"]: frozenset(re.findall(r"`(\w+)`", row["labels"])) for row in ROW.finditer(text)
    }


def family_name(family: Metric) -> str:
    """What a family is called in docs/metrics.md."""
    return family.name + ("_total" if family.type == "counter" else "")


def series_of(family: Metric, labels: Labels) -> Mapping[str, Labels]:
    """The series of a family by name, each with its labels once it has been scraped."""
    there = labels | ADDED_BY_THE_SCRAPE
    name = family_name(family)
    if family.type != "histogram":
        return {name: there}
    return {f"{name}_sum": there, f"{name}_count": there, f"{name}_bucket": there | {"le"}}
