"""Select samples of a store for the commands, and print what is selected and what is omitted."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from oodguard.models.names import escape_control_characters
from oodguard.service.errors import SampleStoreError

if TYPE_CHECKING:
    # Imported by the commands, so that help and usage errors are quick.
    from oodguard.service.sampling.stored import FoundSamples, Record, StoredSample
    from oodguard.service.sampling.stores import SampleStore


class Selected(StrEnum):
    """The decision of the images to select."""

    ACCEPT = "accept"
    REJECT = "reject"


def select_samples(
    store: "SampleStore", found: "FoundSamples", decision: Selected | None, model: str | None
) -> list[tuple["StoredSample", "Record"]]:
    """Return the samples with a decision and of a model, which must be one; report others."""
    selected: list[tuple[StoredSample, Record]] = []
    models: set[str] = set()
    for sample, record in records_of(store, found.samples):
        if isinstance(record, SampleStoreError):
            omit_sample(sample, record)
            continue
        names = {record.model.name, f"{record.model.name}@{record.model.version}"}
        models |= names
        if decision in {None, record.verdict.decision} and model in {None, *names}:
            selected.append((sample, record))
    if model not in {None, *models}:
        raise SampleStoreError(
            f"--model is {model}, expected the model of a sample:"
            f" {escape_control_characters(', '.join(sorted(models))) or 'there is none'}"
        )
    _require_one_model({record.model.name for _, record in selected})
    return selected


def _require_one_model(names: set[str]) -> None:
    if len(names) > 1:
        listed = escape_control_characters(", ".join(sorted(names)))
        raise SampleStoreError(
            f"the samples are of several models ({listed}), whose classes may differ: choose one"
            " with --model"
        )


def omit_sample(sample: "StoredSample", error: SampleStoreError) -> None:
    """Print that a sample is omitted, and why."""
    print_line(f"oodguard: {sample.stem} is omitted: {error}", err=True)


def open_samples(
    location: str, *, containing: str = "", newest: int | None = None
) -> tuple["SampleStore", "FoundSamples"]:
    """Open a store and return its samples; see `stored.find_samples`."""
    from oodguard.service.sampling.stored import find_samples  # noqa: PLC0415
    from oodguard.service.sampling.stores import open_store  # noqa: PLC0415

    store = open_store(location, write=False)
    return store, find_samples(store, containing=containing, newest=newest)


def records_of(
    store: "SampleStore", samples: list["StoredSample"]
) -> Iterator[tuple["StoredSample", "Record | SampleStoreError"]]:
    """Yield each sample with its record, or with the error of an invalid one."""
    from oodguard.service.sampling.stored import read_record  # noqa: PLC0415

    for sample in samples:
        try:
            yield sample, read_record(store, sample)[0]
        except SampleStoreError as error:
            yield sample, error


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line; control characters, and what the terminal cannot encode, are escaped."""
    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    typer.echo(
        escape_control_characters(text).encode(encoding, "backslashreplace").decode(encoding),
        err=err,
    )
