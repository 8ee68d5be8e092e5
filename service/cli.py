"""The command `oodguard`: serve a bundle, judge images with it, check it, or make keys."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from oodguard.service.auth import keys_cli as keys_command
from oodguard.service.cli_errors import REFUSED, exit_on_error
from oodguard.service.settings import Settings, describe, unknown_variables, variable

USAGE = 2


def _variables() -> str:
    """Every setting for the help, in a paragraph that click leaves as it is."""
    rows = describe()
    wide = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{wide}}  {meaning} [{default}]" for name, default, meaning in rows]
    return "\b\nSettings are environment variables, with [defaults]:\n" + "\n".join(lines)


app = typer.Typer(
    help="Image classification that says when not to trust it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)

app.add_typer(keys_command.app, name="keys")

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of the bundle.", show_default=False)
]


@app.command(epilog=_variables())
def serve(
    bundle: BundleOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks one.")] = None,
) -> None:
    """Serve a bundle over HTTP until SIGTERM."""
    settings = _settings(bundle=bundle, host=host, port=port)
    with exit_on_error():
        # Each command imports what it needs: help and a refused setting do not wait for it.
        from oodguard.service.serve import serve_app  # noqa: PLC0415
        from oodguard.service.telemetry import logs  # noqa: PLC0415

        logs.configure(settings.log_level, settings.log_format)
        logs.silence_decoders()
        serve_app(settings)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="JPEG, PNG or WebP files.")],
    bundle: BundleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> None:
    """Judge images without a server; exit 1 when one could not be judged."""
    settings = _settings(bundle=bundle)
    with exit_on_error():
        from oodguard.service.inference.model import load_model  # noqa: PLC0415
        from oodguard.service.offline import (  # noqa: PLC0415
            as_json_text,
            judge_files,
            print_table,
        )
        from oodguard.service.telemetry.logs import silence_decoders  # noqa: PLC0415

        silence_decoders()
        model = load_model(settings.bundle, settings)
        judged, refused = judge_files(model, images, settings)
    if as_json:
        typer.echo(as_json_text(model, judged))
    elif judged:
        print_table(model, judged)
    for path, reason in refused:
        typer.echo(f"oodguard: {path}: {reason}", err=True)
    raise typer.Exit(REFUSED if refused else 0)


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")]) -> None:
    """Check a bundle: its files, its graph and its calibration under the settings' policy."""
    settings = _settings(bundle=bundle)
    with exit_on_error():
        from oodguard.service.inference.model import load_model  # noqa: PLC0415
        from oodguard.service.offline import print_summary  # noqa: PLC0415

        model = load_model(settings.bundle, settings)
        model.engine.warm_up()
    print_summary(model)


def _settings(**given: Path | str | int | None) -> Settings:
    for name in unknown_variables():
        typer.echo(f"oodguard: {name} sets nothing; see oodguard serve --help", err=True)
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings.model_validate(chosen)
    except ValidationError as error:
        for fault in error.errors():
            name = variable(str(fault["loc"][0])) if fault["loc"] else "settings"
            typer.echo(f"oodguard: {name}: {fault['input']!r} came; {fault['msg']}", err=True)
        raise typer.Exit(USAGE) from None
