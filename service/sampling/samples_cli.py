"""The command `oodguard samples`: list, show, export and review the sampled images."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from oodguard.service.cli_errors import exit_on_error
from oodguard.service.errors import SampleStoreError
from oodguard.service.regular_file import write_new_file
from oodguard.service.sampling.export_files import open_writer, output_errors
from oodguard.service.sampling.selection import (
    Selected,
    omit_sample,
    open_samples,
    print_line,
    records_of,
    select_samples,
)

# Of the samples that `list` reads to find those with a decision.
MAX_READ = 10_000

# Characters of a name or a label in a line of `list`.
MAX_SHOWN = 100

# Of the names that `show` prints.
MAX_CANDIDATES = 20

app = typer.Typer(
    help="List, show, export and review the sampled images.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


StoreOption = Annotated[
    str,
    typer.Option("--from", envvar="OODGUARD_SAMPLE_TO", help="A folder, or s3://BUCKET/PREFIX."),
]

DecisionOption = Annotated[
    Selected | None, typer.Option("--decision", help="Only images with this decision.")
]


ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Only images that NAME or NAME@VERSION predicted."),
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
        store, found = open_samples(location, newest=max(limit, MAX_READ))
        printed = 0
        for sample, record in records_of(store, found.samples):
            if isinstance(record, SampleStoreError):
                print_line(f"unreadable  {sample.stem}: {record}")
            elif decision in {None, record.verdict.decision}:
                model, verdict = record.model, record.verdict
                names = [_cut(each) for each in (model.name, model.version, verdict.label)]
                print_line(
                    f"{verdict.decision}  {verdict.p_value:.4f}  {names[0]} {names[1]}"
                    f"  {names[2]}  {sample.stem}"
                )
            else:
                continue
            printed += 1
            if printed == limit:
                break
    only = f", of which the newest {len(found.samples)} were searched"
    print_line(
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

        store, found = open_samples(location, containing=name, newest=MAX_CANDIDATES)
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
            with output_errors(out):
                try:
                    out.write_bytes(image)
                except OSError:
                    if is_new:
                        out.unlink(missing_ok=True)
                    raise
    print_line(str(out) if out else f"{location.rstrip('/')}/{sample.image}")


@app.command()
def export(
    out: Annotated[
        Path, typer.Argument(help="A new folder, a file that ends in .tar, or - for a tar stream.")
    ],
    location: StoreOption,
    decision: DecisionOption = None,
    model: ModelOption = None,
) -> None:
    """Write the images as OUT/CLASS/FILE, where CLASS is the class that the model predicted.

    The predicted class can be wrong, above all for rejected images: look at the images, and move
    or delete those that are wrong, before they are used for calibration.
    """
    with exit_on_error():
        from oodguard.service.sampling.stored import class_folder, read_image  # noqa: PLC0415

        store, found = open_samples(location)
        selected = select_samples(store, found, decision, model)
        classes: Counter[str] = Counter()
        with open_writer(out) as writer:
            for sample, record in selected:
                try:
                    folder, image = class_folder(record.verdict.label), read_image(store, sample)
                except SampleStoreError as error:
                    omit_sample(sample, error)
                    continue
                with output_errors(out):
                    writer.write(f"{folder}/{sample.image}", image, record)
                classes[folder] += 1
    print_line(
        f"oodguard: exported {classes.total()} of {found.total} samples, of {len(classes)} classes",
        err=True,
    )


@app.command()
def review(
    out: Annotated[Path, typer.Argument(help="A new CSV file, for oodguard calibrate --data.")],
    location: StoreOption,
    decision: DecisionOption = None,
    model: ModelOption = None,
) -> None:
    """Write a table in which a person decides which images calibrate, and copy the images.

    In the column keep write yes for an image of the classes that the model should accept, also for
    a rejected one, and no for any other. A label may be written too. The images are in a folder
    next to the table.
    """
    with exit_on_error():
        from oodguard.service.sampling.review import (  # noqa: PLC0415
            images_folder,
            review_row,
            write_review,
        )
        from oodguard.service.sampling.stored import read_image  # noqa: PLC0415

        if out.exists():
            raise SampleStoreError(f"{out} exists, expected a new file: it may hold decisions")
        folder = images_folder(out)
        store, found = open_samples(location)
        selected = select_samples(store, found, decision, model)
        with output_errors(folder):
            folder.mkdir(parents=True)
        rows = []
        for sample, record in selected:
            try:
                image = read_image(store, sample)
            except SampleStoreError as error:
                omit_sample(sample, error)
                continue
            file = folder / str(sample.image)
            with output_errors(file):
                write_new_file(file, image)
            rows.append(review_row(file.relative_to(out.parent), record))
        with output_errors(out):
            write_review(out, rows)
    print_line(
        f"oodguard: wrote {len(rows)} of {found.total} samples to {out}, their images to {folder}",
        err=True,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
