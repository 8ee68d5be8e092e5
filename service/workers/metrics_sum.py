"""Add up the metrics of all workers, of those that have ended, and of the supervisor."""

import operator
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from oodguard.service.workers.shared_values import Series

SUMMED_GAUGES = frozenset({"oodguard_requests_in_flight", "oodguard_queue_depth"})
"""The gauges of which each worker has its part."""

LEAST_GAUGES = frozenset(
    {"oodguard_last_reload_successful", "oodguard_keys_last_reload_successful"}
)
"""The gauges that are 0 if they are 0 in any worker. All others are the same in every worker."""

Labels: TypeAlias = tuple[tuple[str, str], ...]

FamilyJson: TypeAlias = list[Any]
"""A family as JSON: name, help, type, and its samples as name, labels and value."""


class Collected(Collector):
    """Families that were collected in another process."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        return iter(self._families)


def to_json(families: Iterable[Metric]) -> list[FamilyJson]:
    """Return families as JSON."""
    return [
        [each.name, each.documentation, each.type, [list(sample[:3]) for sample in each.samples]]
        for each in families
    ]


def from_json(families: Iterable[FamilyJson]) -> list[Metric]:
    """Return the families of `to_json`."""
    return [
        _family(name, documentation, kind, [Sample(*each) for each in samples])
        for name, documentation, kind, samples in families
    ]


def sum_metrics(
    parts: Sequence[Iterable[Metric]], summed_gauges: Collection[str] = SUMMED_GAUGES
) -> list[Metric]:
    """Return the families of all parts, each once.

    Counters and histograms are added. A histogram is added to the first one with its labels only if
    it has the same buckets: those of the scores change with the threshold. A gauge is added if it
    is one of `summed_gauges`, the least one is used of `LEAST_GAUGES`, else the first part's.
    """
    by_name: dict[str, list[Metric]] = defaultdict(list)
    for part in parts:
        for family in part:
            by_name[family.name].append(family)
    return [_sum_families(families, summed_gauges) for families in by_name.values()]


def retired_metrics(series: Iterable[Series]) -> list[Metric]:
    """Return the counters and histograms of a worker that has ended, with cumulative buckets."""
    samples: dict[tuple[str, str], dict[Labels, list[Series]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for each in series:
        samples[each.family, each.kind][_base(each.labels)].append(each)
    return [
        _family(name, "", kind, [sample for group in groups.values() for sample in _ended(group)])
        for (name, kind), groups in samples.items()
    ]


def _ended(group: Sequence[Series]) -> Iterator[Sample]:
    """Yield the samples of one counter or one histogram, as the library would."""
    buckets = sorted(
        (each for each in group if "le" in each.labels), key=lambda each: float(each.labels["le"])
    )
    total = 0.0
    for each in buckets:
        total += each.value
        yield Sample(each.name, dict(each.labels), total)
    for each in group:
        if "le" not in each.labels:
            yield Sample(each.name, dict(each.labels), each.value)
    if buckets:
        labels = {name: text for name, text in buckets[0].labels.items() if name != "le"}
        yield Sample(f"{buckets[0].family}_count", labels, total)


def _sum_families(families: Sequence[Metric], summed_gauges: Collection[str]) -> Metric:
    first = families[0]
    gauges = {*summed_gauges, *LEAST_GAUGES}
    adds = first.type in {"counter", "histogram"} or first.name in gauges
    combine = min if first.name in LEAST_GAUGES else operator.add
    groups: dict[Labels, dict[tuple[str, Labels], Sample]] = {}
    for family in families:
        for base, samples in _groups(family).items():
            known = groups.get(base)
            if known is None:
                groups[base] = samples
            elif adds and (first.type != "histogram" or _bounds(known) == _bounds(samples)):
                for key, sample in samples.items():
                    before = known.get(key, sample._replace(value=0.0))
                    known[key] = sample._replace(value=combine(before.value, sample.value))
    documentation = next((each.documentation for each in families if each.documentation), "")
    added = [sample for group in groups.values() for sample in group.values()]
    return _family(first.name, documentation, first.type, added)


def _groups(family: Metric) -> dict[Labels, dict[tuple[str, Labels], Sample]]:
    """Return the samples by their labels except `le`."""
    groups: dict[Labels, dict[tuple[str, Labels], Sample]] = defaultdict(dict)
    for sample in family.samples:
        groups[_base(sample.labels)][sample.name, _key(sample.labels)] = sample
    return groups


def _bounds(samples: Mapping[tuple[str, Labels], Sample]) -> frozenset[str]:
    return frozenset(each.labels["le"] for each in samples.values() if "le" in each.labels)


def _base(labels: Mapping[str, str]) -> Labels:
    return _key({name: text for name, text in labels.items() if name != "le"})


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _family(name: str, documentation: str, kind: str, samples: Sequence[Sample]) -> Metric:
    family = Metric(name, documentation, kind)
    family.samples = list(samples)
    return family
