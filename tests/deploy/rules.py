"""The shipped rules of Prometheus."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.deploy.promql import KnownSeries, Labels, labels

Yaml: TypeAlias = dict[str, Any]

DOCKER = Path(__file__).parents[2] / "docker"
RULES = DOCKER / "prometheus" / "rules"
UNIT_TESTS = DOCKER / "prometheus" / "tests"


class _Loader(yaml.SafeLoader):
    """Reads docker compose's tag `!reset` as an empty list."""


_Loader.add_constructor("!reset", lambda _loader, _node: [])


def read(file: Path) -> Yaml:
    """Read a YAML file."""
    content: Yaml = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe one
    return content


def _all_rules() -> list[Yaml]:
    # Recording rules first, because the other rules use their series.
    files = sorted(RULES.glob("*.yml"), key=lambda file: file.name != "recording.yml")
    groups = [group for file in files for group in read(file)["groups"]]
    return [rule for group in groups for rule in group["rules"]]


RECORDED = [rule for rule in _all_rules() if "record" in rule]
ALERTS: Mapping[str, Yaml] = {rule["alert"]: rule for rule in _all_rules() if "alert" in rule}


def with_recorded(exposed: KnownSeries) -> KnownSeries:
    """Add the recorded series and those of Prometheus itself to the exposed series.

    Raises:
        UnknownSeries: A rule uses a metric or a label that does not exist.
    """
    # In Kubernetes, every target has its namespace too.
    known = {**exposed, "up": frozenset({"job", "instance", "namespace"})}
    for rule in RECORDED:
        known[rule["record"]] = labels(rule["expr"], known)
    of_alerts: Labels = frozenset({"alertname", "alertstate", "severity"})
    for rule in ALERTS.values():
        of_alerts |= labels(rule["expr"], known)
    return {**known, "ALERTS": of_alerts}
