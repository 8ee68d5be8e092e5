"""The values of a worker's counters and histograms, in memory that outlives the worker.

The counts of a killed worker are not lost: the supervisor reads its values, and adds
them to those of the other workers from then on.
"""

import json
import mmap
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import values

_USED = struct.Struct("<Q")

# Only pages that are touched take memory. A process has a few hundred values, and a reload adds a
# dozen for each model, because a histogram of scores begins again with a new threshold.
NAMES_BYTES = 8 * 2**20

MAX_VALUES = 2**17

KEPT = frozenset({"counter", "histogram"})


@dataclass(frozen=True, slots=True)
class Series:
    """A sample of a metric.

    Attributes:
        family: The name of the metric.
        kind: Its type, counter or histogram.
        name: The name of the sample, which for histograms ends in `_bucket` or `_sum`.
        labels: Its labels, for buckets with the upper bound `le`.
        value: Its value; that of a bucket is not cumulative.
    """

    family: str
    kind: str
    name: str
    labels: Mapping[str, str]
    value: float


class ValueMemory:
    """The values of one worker. Create it before the worker is forked."""

    def __init__(self) -> None:
        self._names = mmap.mmap(-1, _USED.size + NAMES_BYTES)
        self._values_map = mmap.mmap(-1, 8 * MAX_VALUES)
        self.values = memoryview(self._values_map).cast("d")
        self._lock = threading.Lock()
        self._next = 0

    def add(self, family: str, kind: str, name: str, labels: Mapping[str, str]) -> int | None:
        """Return the index of a new value, or None if the memory is full. Thread-safe."""
        line = json.dumps([family, kind, name, dict(labels)]).encode() + b"\n"
        with self._lock:
            used, index = _USED.unpack_from(self._names)[0], self._next
            if index == MAX_VALUES or used + len(line) > NAMES_BYTES:
                return None
            start = _USED.size + used
            self._names[start : start + len(line)] = line
            # Last: the worker may be killed at any time.
            _USED.pack_into(self._names, 0, used + len(line))
            self._next += 1
            return index

    def read(self) -> Iterator[Series]:
        """Yield the values; of values with the same name and labels only the newest."""
        used = _USED.unpack_from(self._names)[0]
        lines = self._names[_USED.size : _USED.size + used].splitlines()
        newest = {line: index for index, line in enumerate(lines)}
        for line, index in newest.items():
            family, kind, name, labels = json.loads(line)
            yield Series(family, kind, name, labels, self.values[index])

    def clear(self) -> None:
        """Forget all values, after the worker has ended."""
        used = _USED.unpack_from(self._names)[0]
        count = self._names[_USED.size : _USED.size + used].count(b"\n")
        for index in range(count):
            self.values[index] = 0.0
        _USED.pack_into(self._names, 0, 0)


def value_class(memory: ValueMemory) -> Callable[..., Any]:
    """Return a class for `prometheus_client.values.ValueClass` that keeps its numbers in memory."""

    class SharedValue(values.MutexValue):
        """A number of a counter or a histogram; that of a gauge stays in the process."""

        def __init__(  # noqa: PLR0913 - as in the library
            self,
            typ: str,
            metric_name: str,
            name: str,
            labelnames: Sequence[str],
            labelvalues: Sequence[str],
            help_text: str,
            **options: Any,  # noqa: ANN401
        ) -> None:
            super().__init__(typ, metric_name, name, labelnames, labelvalues, help_text, **options)  # type: ignore[no-untyped-call]
            labels = dict(zip(labelnames, map(str, labelvalues), strict=True))
            self._index = memory.add(metric_name, typ, name, labels) if typ in KEPT else None

        def inc(self, amount: float) -> None:
            with self._lock:
                self._value += amount
                if self._index is not None:
                    memory.values[self._index] = self._value

    return SharedValue


def keep_values(memory: ValueMemory) -> None:
    """Keep the values of all metrics that this process creates from now on in memory."""
    values.ValueClass = value_class(memory)
