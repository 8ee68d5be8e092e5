"""Read stored samples: list them, read their records and their images.

The content of a store is not trusted: names and records are validated, and sizes are limited.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from oodguard.models.validation_errors import describe_error, describe_json_error
from oodguard.models.verdicts import Decision
from oodguard.service.errors import SampleStoreError
from oodguard.service.sampling.sample import stem_of
from oodguard.service.sampling.stores import SampleStore

RECORD = ".json"

MAX_RECORD_BYTES = 2**20

MAX_IMAGE_BYTES = 2**28

# The limit of common file systems.
MAX_FOLDER_NAME_BYTES = 255

# Characters of class names that need no escape in a folder name, in addition to letters and digits.
SAFE_CHARACTERS = " !#$&'()+,;=@[]^_`{}~-."


class _Stored(BaseModel):
    # Records of other releases may have more fields.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class StoredModel(_Stored):
    """The model that predicted a sample."""

    name: str
    version: str


class StoredVerdict(_Stored):
    """The fields of a verdict that commands use."""

    label: str
    p_value: float
    decision: Decision


class StoredPolicy(_Stored):
    """The fields of a policy that commands use."""

    fdr: float | None = None


class Record(_Stored):
    """The fields of a record that commands use."""

    request_id: str
    time: AwareDatetime
    model: StoredModel
    verdict: StoredVerdict
    policy: StoredPolicy = StoredPolicy()


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSample:
    """The files of a sample.

    Attributes:
        stem: The common part of their names.
        files: Their names.
    """

    stem: str
    files: frozenset[str]

    @property
    def image(self) -> str | None:
        """The name of the image file, if it is stored."""
        return next((name for name in sorted(self.files) if not name.endswith(RECORD)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundSamples:
    """Samples of a store.

    Attributes:
        samples: The newest ones, newest first.
        total: The number of all that were searched for.
    """

    samples: list[StoredSample]
    total: int


def find_samples(
    store: SampleStore, *, containing: str = "", newest: int | None = None
) -> FoundSamples:
    """Find stored samples by the names of their files; other files are ignored.

    Memory is bounded by the number of samples that are returned.

    Args:
        store: The store.
        containing: A part of the names of the samples.
        newest: The largest number of samples to return; None: no limit.

    Raises:
        SampleStoreError: The store fails.
    """
    files: dict[str, list[str]] = {}
    oldest = ""
    total = 0
    for name in store.list_names():
        stem = stem_of(name)
        if not stem or containing not in stem:
            continue
        if name.endswith(RECORD):
            total += 1
        # The names begin with the time.
        if stem < oldest:
            continue
        files.setdefault(stem, []).append(name)
        if newest is not None and len(files) > 2 * newest:
            files = {stem: files[stem] for stem in sorted(files, reverse=True)[:newest]}
            oldest = min(files)
    samples = [
        StoredSample(stem=stem, files=frozenset(files[stem]))
        for stem in sorted(files, reverse=True)[:newest]
    ]
    return FoundSamples(samples=samples, total=max(total, len(samples)))


def read_record(store: SampleStore, sample: StoredSample) -> tuple[Record, dict[str, Any]]:
    """Return the record of a sample, validated and as it is stored.

    Raises:
        SampleStoreError: The record is missing or invalid, or the store fails.
    """
    text = _read(store, sample, sample.stem + RECORD, MAX_RECORD_BYTES)
    try:
        # `strict` refuses a text as a time in Python values, but not in JSON.
        return Record.model_validate_json(text), orjson.loads(text)
    except ValidationError as error:
        raise SampleStoreError(describe_error(error.errors()[0], "the record")) from error
    except orjson.JSONDecodeError as error:
        cause = describe_json_error(text, error)
        raise SampleStoreError(f"the record is not valid JSON: {cause}") from error


def read_image(store: SampleStore, sample: StoredSample) -> bytes:
    """Return the image of a sample.

    Raises:
        SampleStoreError: The image is missing or too large, or the store fails.
    """
    if sample.image is None:
        raise SampleStoreError("the image is missing")
    return _read(store, sample, sample.image, MAX_IMAGE_BYTES)


def _read(store: SampleStore, sample: StoredSample, name: str, max_bytes: int) -> bytes:
    if name not in sample.files:
        raise SampleStoreError("the record is missing")
    return store.get(name, max_bytes)


def class_folder(label: str) -> str:
    """Return a folder name for a class: `/`, a leading dot and the like are percent-encoded.

    Raises:
        SampleStoreError: The label is empty or too long for a folder name.
    """
    letters = "".join(char if char.isalnum() else quote(char, SAFE_CHARACTERS) for char in label)
    name = "%2E" + letters[1:] if letters.startswith(".") else letters
    if not 0 < len(name.encode()) <= MAX_FOLDER_NAME_BYTES:
        raise SampleStoreError(f"the label has {len(label)} characters, expected a folder name")
    return name
