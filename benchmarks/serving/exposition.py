"""The numbers that a service shows at /metrics."""

from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""


def scrape(port: int) -> Samples:
    """Ask the service on 127.0.0.1 for its metrics."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        return parse(response.read().decode())


def parse(text: str) -> Samples:
    """Read the text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Sum the samples of a name that have these labels, whatever others they have."""
    wanted = labels.items()
    return sum(
        value for (each, had), value in samples.items() if each == name and wanted <= set(had)
    )


def by_label(samples: Samples, name: str, label: str, **labels: str) -> dict[str, float]:
    """The sums of a name's samples that have these labels, by the value of one more label."""
    values = {dict(had)[label] for each, had in samples if each == name and label in dict(had)}
    return {value: total(samples, name, **{**labels, label: value}) for value in values}
