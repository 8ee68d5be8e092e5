"""The command `oodguard samples`: list, show, export and review the sampled images."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option, print_json
from oodguard.command_line.program import examples
from oodguard.command_line.progress import track
from oodguard.models.names import text_of
from oodguard.service.errors import SampleStoreError
from oodguard.service.regular_file import PRIVATE_FILE, PRIVATE_FOLDER, write_new_file
from oodguard.service.sampling.export_files import STDOUT, open_writer, output_errors
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
    epilog=examples("oodguard samples list --from samples --decision reject"),
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


@app.command(
    "list",
    epilog=examples(
        "oodguard samples list --from samples", "oodguard samples list --from s3://bucket/rejected"
    ),
)
def list_(
    location: StoreOption,
    decision: DecisionOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of samples.")] = 50,
    as_json: Annotated[bool, json_option("total", "searched", "samples")] = False,
) -> None:
    """Print the newest samples: decision, p-value, model, version, predicted class and name.

    The newest 10,000 records are read at most, or --limit of them if that is more.
    """
    store, found = open_samples(location, newest=max(limit, MAX_READ))
    rows: list[dict[str, object]] = []
    for sample, record in records_of(store, found.samples):
        if isinstance(record, SampleStoreError):
            rows.append({"name": sample.stem, "unreadable": str(record)})
        elif decision in {None, record.verdict.decision}:
            model, verdict = record.model, record.verdict
            rows.append(
                {
                    "name": sample.stem,
                    "decision": verdict.decision,
                    "p_value": verdict.p_value,
                    "model": model.name,
                    "version": model.version,
                    "label": verdict.label,
                }
            )
        else:
            continue
        if not as_json:
            print_line(_line(rows[-1]))
        if len(rows) == limit:
            break
    if as_json:
        searched = len(found.samples)
        print_json({"total": found.total, "searched": searched, "samples": rows})
        return
    only = f", of which the newest {len(found.samples)} were searched"
    print_line(
        f"oodguard: printed {len(rows)} of {found.total} samples in {location}"
        f"{only if len(rows) < limit and found.total > len(found.samples) else ''}",
        err=True,
    )


def _line(row: Mapping[str, object]) -> str:
    if "unreadable" in row:
        return f"unreadable  {row['name']}: {row['unreadable']}"
    model, version, label = (_cut(str(row[key])) for key in ("model", "version", "label"))
    return f"{row['decision']}  {row['p_value']:.4f}  {model} {version}  {label}  {row['name']}"


@app.command(
    epilog=examples(
        "oodguard samples show ca8d15159381455a --from samples --out picture.png",
    )
)
def show(
    name: Annotated[str, typer.Argument(help="Name of a sample, or a part such as a request id.")],
    location: StoreOption,
    out: Annotated[Path | None, typer.Option("--out", help="Write the image to this file.")] = None,
    as_json: Annotated[bool, json_option("record", "image")] = False,
) -> None:
    """Print the record of a sample and the place of its image, or write the image to a file."""
    from oodguard.service.sampling.stored import read_image, read_record  # noqa: PLC0415

    store, found = open_samples(location, containing=name, newest=MAX_CANDIDATES)
    if found.total != 1:
        names = "".join(f"\n  {each.stem}" for each in found.samples)
        raise SampleStoreError(
            f"{found.total} samples have {name!r} in their name, expected 1{names}"
        )
    (sample,) = found.samples
    _, content = read_record(store, sample)
    if not as_json:
        # ASCII only: a record may contain the control characters of a terminal.
        typer.echo(json.dumps(content, indent=2))
    if out is not None:
        image, is_new = read_image(store, sample), not out.exists()
        with output_errors(out):
            try:
                if is_new:
                    out.touch(mode=PRIVATE_FILE)
                out.write_bytes(image)
            except OSError:
                if is_new:
                    out.unlink(missing_ok=True)
                raise
    image_place = str(out) if out else f"{location.rstrip('/')}/{sample.image}"
    if as_json:
        print_json({"record": content, "image": image_place})
    else:
        print_line(image_place)


@app.command(
    epilog=examples(
        "oodguard samples export rejected --from samples --decision reject",
        "oodguard samples export rejected.tar --from s3://bucket/rejected --model cifar10-aloe@1",
    )
)
def export(
    out: Annotated[
        Path, typer.Argument(help="A new folder, a file that ends in .tar, or - for a tar stream.")
    ],
    location: StoreOption,
    decision: DecisionOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, json_option("out", "total", "classes")] = False,
) -> None:
    """Write the images as OUT/CLASS/FILE, where CLASS is the class that the model predicted.

    The predicted class can be wrong, above all for rejected images: look at the images, and move
    or delete those that are wrong, before they are used for calibration.
    """
    from oodguard.service.sampling.stored import class_folder, read_image  # noqa: PLC0415

    store, found = open_samples(location)
    selected = select_samples(store, found, decision, model)
    classes: Counter[str] = Counter()
    if as_json and out == STDOUT:
        raise typer.BadParameter("received both - and --json, expected one of them")
    with open_writer(out) as writer:
        for sample, record in track(selected, "exporting"):
            try:
                folder, image = class_folder(record.verdict.label), read_image(store, sample)
            except SampleStoreError as error:
                omit_sample(sample, error)
                continue
            with output_errors(out):
                writer.write(f"{folder}/{sample.image}", image, record)
            classes[folder] += 1
    if as_json:
        print_json({"out": text_of(out), "total": found.total, "classes": dict(classes)})
        return
    print_line(
        f"oodguard: exported {classes.total()} of {found.total} samples, of {len(classes)} classes",
        err=True,
    )


@app.command(epilog=examples("oodguard samples review review.csv --from samples"))
def review(
    out: Annotated[Path, typer.Argument(help="A new CSV file, for oodguard calibrate --data.")],
    location: StoreOption,
    decision: DecisionOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, json_option("table", "images", "total", "written")] = False,
) -> None:
    """Write a table in which a person decides which images calibrate, and copy the images.

    In the column keep write yes for an image of the classes that the model should accept, also for
    a rejected one, and no for any other. A label may be written too. The images are in a folder
    next to the table.
    """
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
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
    rows = []
    for sample, record in track(selected, "copying"):
        try:
            image = read_image(store, sample)
        except SampleStoreError as error:
            omit_sample(sample, error)
            continue
        file = folder / str(sample.image)
        with output_errors(file):
            write_new_file(file, image, mode=PRIVATE_FILE)
        rows.append(review_row(file.relative_to(out.parent), record))
    with output_errors(out):
        write_review(out, rows)
    if as_json:
        counts = {"total": found.total, "written": len(rows)}
        print_json({"table": text_of(out), "images": text_of(folder), **counts})
        return
    print_line(
        f"oodguard: wrote {len(rows)} of {found.total} samples to {out}, their images to {folder}",
        err=True,
    )


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
