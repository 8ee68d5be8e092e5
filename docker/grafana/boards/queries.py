"""PromQL that panels share."""

from dataclasses import dataclass
from typing import Literal

MODEL = 'model=~"$model",version=~"$version"'
BY_MODEL = "model, version"
VERSION = "{{model}} {{version}}"
PREDICTION = 'route=~".*/(predict|infer)"'
SERVICE = 'job="oodguard"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel.

    Attributes:
        expr: PromQL with Grafana's variables.
        legend: Name of its series; `{{label}}` is the value of a label.
        form: Series over time, a table of current values, or the rows of a heatmap.
    """

    expr: str
    legend: str = ""
    form: Literal["time_series", "table", "heatmap"] = "time_series"


def rate(metric: str, matchers: str, by: str) -> str:
    """Return the rate of a counter per second, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def gauge(metric: str) -> str:
    """Return a gauge by model and version: the maximum over the instances."""
    return f"max by ({BY_MODEL}) ({metric}{{{MODEL}}})"


def quantile(q: float, histogram: str, matchers: str, by: str) -> str:
    """Return a quantile of a histogram, by labels."""
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', matchers, f'{by}, le')})"


def quantiles(histogram: str, matchers: str, by: str, whose: str) -> list[Query]:
    """Return the median, 95th and 99th percentile of a histogram, by labels."""
    return [
        Query(quantile(q, histogram, matchers, by), f"p{q * 100:.0f} {whose}".strip())
        for q in (0.5, 0.95, 0.99)
    ]


def mean(histogram: str, matchers: str, by: str) -> str:
    """Return the mean of a histogram of non-negative values, by labels."""
    seen = rate(f"{histogram}_count", matchers, by)
    return f"{rate(f'{histogram}_sum', matchers, by)} / {seen}"


def or_none(expr: str, label: str) -> str:
    """Return an expression that is 0 with the label value `none` if it has no series.

    Grafana shows "no data" for a counter that has no series, such as that of a shadow model.
    """
    return f'{expr} or on () label_replace(vector(0), "{label}", "none", "", "")'
