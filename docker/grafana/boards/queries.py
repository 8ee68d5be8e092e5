"""PromQL that many panels share."""

from dataclasses import dataclass
from typing import Literal

MODEL = 'model=~"$model",version=~"$version"'
BY_MODEL = "model, version"
WHOSE = "{{model}} {{version}}"
JUDGING = 'route=~".*/(predict|infer)"'
SERVICE = 'job="oodguard"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expr: PromQL, with Grafana's variables.
        legend: How its series are called; `{{label}}` is a label's value.
        form: Series over time, a table of now, or the rows of a heatmap.
    """

    expr: str
    legend: str = ""
    form: Literal["time_series", "table", "heatmap"] = "time_series"


def rate(metric: str, matchers: str, by: str) -> str:
    """How much a counter grows a second, summed up by labels."""
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def gauge(metric: str) -> str:
    """A gauge of each model and version, of the instance where it is highest."""
    return f"max by ({BY_MODEL}) ({metric}{{{MODEL}}})"


def quantile(q: float, histogram: str, matchers: str, by: str) -> str:
    """A quantile of what a histogram has seen, by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', matchers, f'{by}, le')})"


def quantiles(histogram: str, matchers: str, by: str, whose: str) -> list[Query]:
    """Median, 95th and 99th percentile of what a histogram has seen, by labels."""
    return [
        Query(quantile(q, histogram, matchers, by), f"p{q * 100:.0f} {whose}".strip())
        for q in (0.5, 0.95, 0.99)
    ]


def mean(histogram: str, matchers: str, by: str) -> str:
    """The mean of what a histogram has seen, which must not be negative, by labels."""
    seen = rate(f"{histogram}_count", matchers, by)
    return f"{rate(f'{histogram}_sum', matchers, by)} / {seen}"


def at_rest(expr: str, label: str) -> str:
    """An expression, or 0 for the label `none` where it has no series.

    A counter with labels has no series before it counts, and "no data" reads like a fault.
    """
    return f'{expr} or on () label_replace(vector(0), "{label}", "none", "", "")'
