"""Queries to the running Prometheus and Alertmanager."""

import math
import time
from typing import Any, TypeAlias

import httpx2

from tests.deploy.compose.stack import Stack

Series: TypeAlias = list[dict[str, Any]]

STEP_S = 5


def targets(stack: Stack) -> dict[str, str]:
    """Return the health of each target by its job."""
    data = _get(stack, "targets")
    return {target["labels"]["job"]: target["health"] for target in data["activeTargets"]}


def failed_rules(stack: Stack) -> list[str]:
    """Return the rules that Prometheus could not evaluate, each with the error."""
    groups = _get(stack, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules, "no rule was loaded"
    return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"]


def query_range(stack: Stack, expression: str, *, window_s: float) -> Series:
    """Evaluate an expression over the last `window_s`, as a panel does."""
    now = time.time()
    parameters: dict[str, str | float] = {
        "query": expression,
        "start": now - window_s,
        "end": now,
        "step": STEP_S,
    }
    result: Series = _get(stack, "query_range", **parameters)["result"]
    return result


def query(stack: Stack, expression: str, *, at: float | None = None) -> list[float]:
    """Return the values of an expression at a time, by default now."""
    result = _get(stack, "query", query=expression, time=at or time.time())["result"]
    return [float(series["value"][1]) for series in result]


def count_non_finite(series: Series) -> int:
    """Count the values of all series that are not finite."""
    return sum(not math.isfinite(float(text)) for each in series for _, text in each["values"])


def alerts(stack: Stack) -> set[str]:
    """Return the names of the alerts that Alertmanager notifies of: not inhibited or silenced."""
    return {
        alert["labels"]["alertname"]
        for alert in all_alerts(stack)
        if alert["status"]["state"] == "active"
    }


def all_alerts(stack: Stack) -> Series:
    """Return the alerts in Alertmanager."""
    response = httpx2.get(f"{stack.alertmanager}/api/v2/alerts", timeout=10)
    response.raise_for_status()
    found: Series = response.json()
    return found


def gauge(stack: Stack, name: str) -> float:
    """Return the present value of a gauge of which the guard has one series."""
    text = httpx2.get(f"{stack.guard}/metrics", timeout=10).text
    (line,) = (line for line in text.splitlines() if line.startswith(name + "{"))
    return float(line.rsplit(" ", 1)[1])


def _get(stack: Stack, path: str, **parameters: str | float) -> Any:
    url = f"{stack.prometheus}/api/v1/{path}"
    response = httpx2.get(url, params=parameters, timeout=30).json()
    assert response["status"] == "success", f"{parameters}: {response}"
    return response["data"]
