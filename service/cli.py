"""The command `oodguard`: serve, predict and verify a bundle; manage keys, samples and drift."""

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from oodguard.models.names import escape_control_characters, escape_unencodable_output
from oodguard.models.validation_errors import describe_error
from oodguard.service import policy_cli
from oodguard.service.auth import keys_cli
from oodguard.service.cli_errors import FAILURE, Commands, exit_on_error
from oodguard.service.drift import drift_cli
from oodguard.service.sampling import samples_cli
from oodguard.service.settings import Settings, describe, unknown_variables, variable
from oodguard.service.settings_conflicts import conflicts

USAGE_ERROR = 2


def _settings_help() -> str:
    """Return the list of settings; click does not re-wrap a paragraph after a backspace."""
    rows = describe()
    width = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{width}}  {meaning} [{default}]" for name, default, meaning in rows]
    return "\b\nSettings are environment variables, with [defaults]:\n" + "\n".join(lines)


app = typer.Typer(
    cls=Commands,
    help="Serve an image classifier that rejects out-of-distribution images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)

app.add_typer(keys_cli.app, name="keys")
app.add_typer(samples_cli.app, name="samples")
app.add_typer(drift_cli.app, name="drift")
app.add_typer(policy_cli.app, name="policy")

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of the bundle.", show_default=False)
]


@app.command(epilog=_settings_help())
def serve(
    bundle: BundleOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 selects a free port.")
    ] = None,
) -> None:
    """Serve a bundle over HTTP until SIGTERM."""
    # Before NumPy is imported. The service multiplies no matrices with it, and processes with
    # threads cannot fork workers.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    options = {"bundle": bundle, "host": host, "port": port}
    settings = _settings(**options)
    given = {name: f"--{name}" for name, value in options.items() if value is not None}
    if found := conflicts(settings, given):
        for conflict in found:
            typer.echo(f"oodguard: {conflict}", err=True)
        raise typer.Exit(USAGE_ERROR)
    with exit_on_error():
        # Commands import what they need, so that help and usage errors are quick.
        from oodguard.service.serve import serve_app  # noqa: PLC0415
        from oodguard.service.telemetry import logs  # noqa: PLC0415

        logs.configure(settings.log_level, settings.log_format)
        logs.silence_decoders()
        serve_app(settings)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="JPEG, PNG or WebP files.")],
    bundle: BundleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    fdr: Annotated[
        str | None,
        typer.Option(
            metavar="Q",
            help="Decide about all images together, at a false-discovery rate above 0 and below 1.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Predict image files without a server; exit with status 1 if a file cannot be decoded."""
    escape_unencodable_output()
    settings = _settings(bundle=bundle)
    with exit_on_error():
        from oodguard.service import predict_files  # noqa: PLC0415
        from oodguard.service.inference.model import errors_with_folder, load_model  # noqa: PLC0415
        from oodguard.service.telemetry.logs import silence_decoders  # noqa: PLC0415

        silence_decoders()
        with errors_with_folder(settings.bundle):
            model = load_model(settings.bundle, settings)
        rate = None if fdr is None else predict_files.rate_of(fdr, model)
        predicted, failed = predict_files.predict_files(model, images, settings, rate)
    if as_json:
        typer.echo(predict_files.to_json(model, predicted, rate))
    elif predicted:
        predict_files.print_table(model, predicted, rate)
    for path, reason in failed:
        typer.echo(f"oodguard: {escape_control_characters(f'{path}: {reason}')}", err=True)
    raise typer.Exit(FAILURE if failed else 0)


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")]) -> None:
    """Verify a bundle: its files, its graph, and its calibration under the configured policy."""
    escape_unencodable_output()
    settings = _settings(bundle=bundle)
    with exit_on_error():
        from oodguard.service.inference.model import errors_with_folder, load_model  # noqa: PLC0415
        from oodguard.service.predict_files import print_summary  # noqa: PLC0415

        with errors_with_folder(settings.bundle):
            model = load_model(settings.bundle, settings)
        model.session.warm_up()
    print_summary(model)


@app.command()
def calibrate(  # noqa: PLR0913 - options
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle; it is not changed.")],
    data: Annotated[
        Path,
        typer.Option(
            help="Held-out images of the classes: a folder, a table, or a review list of"
            " oodguard samples review."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The new folder of the new bundle.")],
    version: Annotated[
        str | None,
        typer.Option(
            help="Version of the new bundle.", show_default="the next post-release, such as 1.post1"
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Groups of near-duplicates, such as films: a column of a table; for a folder"
            " 'folder', 'name:PATTERN' or 'FILE:COLUMN'."
        ),
    ] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Maximum number of images.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Read the labels, if there are any.")
    ] = True,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be read.")
    ] = False,
    image_column: Annotated[
        str | None,
        typer.Option(help="Column of the images in a table.", show_default="by type and name"),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column of the labels in a table.", show_default="by type and name"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Who calibrates, for the record.", show_default="the user's name"),
    ] = None,
) -> None:
    """Calibrate a bundle on other images: the same model, a new threshold, a new version."""
    escape_unencodable_output()
    settings = _settings(bundle=bundle)
    with exit_on_error():
        from oodguard.service.recalibration import command  # noqa: PLC0415

        command.run(
            settings,
            data=data,
            out=out,
            version=version,
            by=by,
            group=group,
            images=images,
            labels=labels,
            skip_broken=skip_broken,
            image_column=image_column,
            label_column=label_column,
        )


def _settings(**options: Path | str | int | None) -> Settings:
    for name in unknown_variables():
        typer.echo(f"oodguard: unknown setting {name}; see oodguard serve --help", err=True)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        for fault in error.errors():
            field = str(fault["loc"][0]) if fault["loc"] else ""
            name = f"--{field}" if field in given else variable(field)
            typer.echo(f"oodguard: {describe_error(fault, name, null='none')}", err=True)
        raise typer.Exit(USAGE_ERROR) from None
