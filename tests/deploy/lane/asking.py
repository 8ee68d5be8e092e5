"""What the real Prometheus and Alertmanager answer."""

import math
import time
from typing import Any, TypeAlias

import httpx2

from tests.deploy.lane.stack import Stack

Series: TypeAlias = list[dict[str, Any]]

STEP_S = 5


def targets(stack: Stack) -> dict[str, str]:
    """The health of each target by its job."""
    told = _get(stack, "targets")
    return {target["labels"]["job"]: target["health"] for target in told["activeTargets"]}


def ill_rules(stack: Stack) -> list[str]:
    """The rules that Prometheus could not evaluate, each with the reason."""
    groups = _get(stack, "rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules, "no rule was loaded"
    return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"]


def lately(stack: Stack, expression: str, *, window_s: float) -> Series:
    """What an expression came to within the last `window_s`, as a panel asks for it."""
    now = time.time()
    asked: dict[str, str | float] = {
        "query": expression,
        "start": now - window_s,
        "end": now,
        "step": STEP_S,
    }
    result: Series = _get(stack, "query_range", **asked)["result"]
    return result


def now(stack: Stack, expression: str, *, at: float | None = None) -> list[float]:
    """The values of an expression at a moment."""
    result = _get(stack, "query", query=expression, time=at or time.time())["result"]
    return [float(series["value"][1]) for series in result]


def infinite(series: Series) -> int:
    """How many values of all series are no finite numbers."""
    return sum(not math.isfinite(float(text)) for each in series for _, text in each["values"])


def alerts(stack: Stack) -> set[str]:
    """The names of the alerts that Alertmanager holds as firing."""
    answer = httpx2.get(f"{stack.alertmanager}/api/v2/alerts", timeout=10)
    answer.raise_for_status()
    return {
        alert["labels"]["alertname"]
        for alert in answer.json()
        if alert["status"]["state"] == "active"
    }


def gauge(stack: Stack, name: str) -> float:
    """The value of a gauge that the guard tells once, at this moment."""
    text = httpx2.get(f"{stack.guard}/metrics", timeout=10).text
    (line,) = (line for line in text.splitlines() if line.startswith(name + "{"))
    return float(line.rsplit(" ", 1)[1])


def _get(stack: Stack, path: str, **asked: str | float) -> Any:
    told = httpx2.get(f"{stack.prometheus}/api/v1/{path}", params=asked, timeout=30).json()
    assert told["status"] == "success", f"{asked}: {told}"
    return told["data"]
