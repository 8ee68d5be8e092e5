"""The command `oodguard samples`: list, show and export the sampled images."""

import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from oodguard.models.names import escape_control_characters
from oodguard.service.cli_errors import exit_on_error
from oodguard.service.errors import SampleStoreError
from oodguard.service.regular_file import write_new_file

if TYPE_CHECKING:
    # Imported by the commands, so that help and usage errors are quick.
    from oodguard.service.sampling.stored import FoundSamples, Record, StoredSample
    from oodguard.service.sampling.stores import SampleStore

STDOUT = Path("-")

TAR = ".tar"

# Of the samples that `list` reads to find those with a decision.
MAX_READ = 10_000

# Characters of a name or a label in a line of `list`.
MAX_SHOWN = 100

# Of the names that `show` prints.
MAX_CANDIDATES = 20

app = typer.Typer(
    help="List, show and export the sampled images.", no_args_is_help=True, rich_markup_mode=None
)


class Selected(StrEnum):
    """The decision of the images to select."""

    ACCEPT = "accept"
    REJECT = "reject"


StoreOption = Annotated[
    str,
    typer.Option("--from", envvar="OODGUARD_SAMPLE_TO", help="A folder, or s3://BUCKET/PREFIX."),
]

DecisionOption = Annotated[
    Selected | None, typer.Option("--decision", help="Only images with this decision.")
]


@app.command("list")
def list_(
    location: StoreOption,
    decision: DecisionOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of samples.")] = 50,
) -> None:
    """Print the newest samples: decision, p-value, model, version, predicted class and name.

    The newest 10,000 records are read at most, or --limit of them if that is more.
    """
    with exit_on_error():
        store, found = _open(location, newest=max(limit, MAX_READ))
        printed = 0
        for sample, record in _records(store, found.samples):
            if isinstance(record, SampleStoreError):
                _print(f"unreadable  {sample.stem}: {record}")
            elif decision in {None, record.verdict.decision}:
                model, verdict = record.model, record.verdict
                names = [_cut(each) for each in (model.name, model.version, verdict.label)]
                _print(
                    f"{verdict.decision}  {verdict.p_value:.4f}  {names[0]} {names[1]}"
                    f"  {names[2]}  {sample.stem}"
                )
            else:
                continue
            printed += 1
            if printed == limit:
                break
    only = f", of which the newest {len(found.samples)} were searched"
    _print(
        f"oodguard: printed {printed} of {found.total} samples in {location}"
        f"{only if printed < limit and found.total > len(found.samples) else ''}",
        err=True,
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a sample, or a part such as a request id.")],
    location: StoreOption,
    out: Annotated[Path | None, typer.Option("--out", help="Write the image to this file.")] = None,
) -> None:
    """Print the record of a sample and the place of its image, or write the image to a file."""
    with exit_on_error():
        from oodguard.service.sampling.stored import read_image, read_record  # noqa: PLC0415

        store, found = _open(location, containing=name, newest=MAX_CANDIDATES)
        if found.total != 1:
            names = "".join(f"\n  {each.stem}" for each in found.samples)
            raise SampleStoreError(
                f"{found.total} samples have {name!r} in their name, expected 1{names}"
            )
        (sample,) = found.samples
        _, content = read_record(store, sample)
        # ASCII only: a record may contain the control characters of a terminal.
        typer.echo(json.dumps(content, indent=2))
        if out is not None:
            image, is_new = read_image(store, sample), not out.exists()
            with _output_errors(out):
                try:
                    out.write_bytes(image)
                except OSError:
                    if is_new:
                        out.unlink(missing_ok=True)
                    raise
    _print(str(out) if out else f"{location.rstrip('/')}/{sample.image}")


@app.command()
def export(
    out: Annotated[
        Path, typer.Argument(help="A new folder, a file that ends in .tar, or - for a tar stream.")
    ],
    location: StoreOption,
    decision: DecisionOption = None,
    model: Annotated[
        str | None, typer.Option(help="Only images that NAME or NAME@VERSION predicted.")
    ] = None,
) -> None:
    """Write the images as OUT/CLASS/FILE, where CLASS is the class that the model predicted.

    The predicted class can be wrong, above all for rejected images: look at the images, and move
    or delete those that are wrong, before they are used for calibration.
    """
    with exit_on_error():
        from oodguard.service.sampling.stored import class_folder, read_image  # noqa: PLC0415

        store, found = _open(location)
        selected: list[tuple[StoredSample, Record]] = []
        classes: Counter[str] = Counter()
        models: set[str] = set()
        for sample, record in _records(store, found.samples):
            if isinstance(record, SampleStoreError):
                _omit(sample, record)
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
        with _writer(out) as writer:
            for sample, record in selected:
                try:
                    folder, image = class_folder(record.verdict.label), read_image(store, sample)
                except SampleStoreError as error:
                    _omit(sample, error)
                    continue
                with _output_errors(out):
                    writer.write(f"{folder}/{sample.image}", image, record)
                classes[folder] += 1
    _print(
        f"oodguard: exported {classes.total()} of {found.total} samples, of {len(classes)} classes",
        err=True,
    )


def _require_one_model(names: set[str]) -> None:
    if len(names) > 1:
        listed = escape_control_characters(", ".join(sorted(names)))
        raise SampleStoreError(
            f"the samples are of several models ({listed}), whose classes may differ: choose one"
            " with --model"
        )


def _omit(sample: "StoredSample", error: SampleStoreError) -> None:
    _print(f"oodguard: {sample.stem} is omitted: {error}", err=True)


class Writer(Protocol):
    """Writes the files of an export."""

    def write(self, path: str, data: bytes, record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""


class FolderWriter:
    """Writes to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, path: str, data: bytes, _record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""
        file = self._folder / path
        file.parent.mkdir(exist_ok=True)
        write_new_file(file, data)


class TarWriter:
    """Writes to a tar archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def write(self, path: str, data: bytes, record: "Record") -> None:
        """Write an image to `CLASS/FILE`."""
        member = tarfile.TarInfo(path)
        member.size, member.mtime = len(data), int(record.time.timestamp())
        self._archive.addfile(member, BytesIO(data))


@contextmanager
def _writer(out: Path) -> Iterator[Writer]:
    if out == STDOUT:
        # Closing the archive writes too, also after an error.
        with _output_errors(out), tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
            yield TarWriter(archive)
    elif out.suffix == TAR:
        with _output_errors(out):
            archive = tarfile.open(out, "x")  # noqa: SIM115 - closed below
        try:
            with _output_errors(out), archive:
                yield TarWriter(archive)
        except BaseException:
            # An incomplete archive would be used, or refused as an existing output.
            out.unlink(missing_ok=True)
            raise
    else:
        with _output_errors(out):
            out.mkdir(parents=True)
        yield FolderWriter(out)


@contextmanager
def _output_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = "standard output" if out == STDOUT else out
        raise SampleStoreError(f"{name} cannot be written: {error.strerror}") from error


def _open(
    location: str, *, containing: str = "", newest: int | None = None
) -> tuple["SampleStore", "FoundSamples"]:
    from oodguard.service.sampling.stored import find_samples  # noqa: PLC0415
    from oodguard.service.sampling.stores import open_store  # noqa: PLC0415

    store = open_store(location, write=False)
    return store, find_samples(store, containing=containing, newest=newest)


def _records(
    store: "SampleStore", samples: list["StoredSample"]
) -> Iterator[tuple["StoredSample", "Record | SampleStoreError"]]:
    """Yield each sample with its record, or with the error of an invalid one."""
    from oodguard.service.sampling.stored import read_record  # noqa: PLC0415

    for sample in samples:
        try:
            yield sample, read_record(store, sample)[0]
        except SampleStoreError as error:
            yield sample, error


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _print(text: str, *, err: bool = False) -> None:
    """Print one line; control characters, and what the terminal cannot encode, are escaped."""
    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    typer.echo(
        escape_control_characters(text).encode(encoding, "backslashreplace").decode(encoding),
        err=err,
    )
