"""The command `oodguard`: serve, predict and verify a bundle; manage keys, samples and drift."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from oodguard.command_line.exit_codes import ExitCode
from oodguard.command_line.output import json_option, print_error, print_json, print_notice
from oodguard.command_line.program import Program, examples
from oodguard.models.names import escape_control_characters
from oodguard.models.validation_errors import describe_error
from oodguard.service import policy_cli, score_cli
from oodguard.service.auth import keys_cli
from oodguard.service.capacity.capacity_cli import capacity
from oodguard.service.drift import drift_cli
from oodguard.service.recalibration import calibrate_cli
from oodguard.service.sampling import samples_cli
from oodguard.service.settings import Settings, describe, unknown_variables, variable
from oodguard.service.settings_conflicts import conflicts


def _settings_help() -> str:
    """Return the list of settings; click does not re-wrap a paragraph after a backspace."""
    rows = describe()
    width = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{width}}  {meaning} [{default}]" for name, default, meaning in rows]
    return "\n\n\b\nSettings are environment variables, with [defaults]:\n" + "\n".join(lines)


app = typer.Typer(
    name="oodguard",
    cls=Program,
    help="Serve an image classifier that rejects out-of-distribution images.",
    epilog=examples(
        "oodguard predict photo.png", "oodguard serve --bundle models/pretrained/cifar10-aloe"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)

app.add_typer(keys_cli.app, name="keys")
app.add_typer(samples_cli.app, name="samples")
app.add_typer(drift_cli.app, name="drift")
app.add_typer(policy_cli.app, name="policy")
app.command(
    epilog=examples(
        "oodguard capacity --rate 1000",
        "oodguard capacity --per-day 1000000000 --p99-ms 50 --cpus 8 --json",
    )
)(capacity)

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of the bundle.", show_default=False)
]


@app.command(
    epilog=examples(
        "oodguard serve",
        "oodguard serve --bundle models/pretrained/gtsrb-aloe --host 127.0.0.1 --port 8000",
    )
    + _settings_help()
)
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
            print_error(str(conflict))
        raise typer.Exit(ExitCode.USAGE)
    # Commands import what they need, so that help and usage errors are quick.
    from oodguard.service.serve import serve_app  # noqa: PLC0415
    from oodguard.service.telemetry import logs  # noqa: PLC0415

    logs.configure(settings.log_level, settings.log_format)
    logs.silence_decoders()
    serve_app(settings)


@app.command(
    epilog=examples(
        "oodguard predict photo.png other.jpg",
        "oodguard predict photos --bundle models/pretrained/gtsrb-aloe --json",
        "oodguard predict photos --url http://localhost:8000 --key-file predict.key",
    )
)
def predict(  # noqa: PLR0913 - options
    images: Annotated[
        list[Path],
        typer.Argument(help="JPEG, PNG or WebP files, folders of them, or patterns in quotes."),
    ],
    bundle: BundleOption = None,
    as_json: Annotated[bool, json_option("model", "policy", "predictions")] = False,
    fdr: Annotated[
        str | None,
        typer.Option(
            metavar="Q",
            help="Decide about all images together, at a false-discovery rate above 0 and below 1.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Use the service at this URL, with the API key in OODGUARD_CLIENT_KEY, if any.",
            show_default=False,
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="With --url: a file that contains the API key.", show_default=False),
    ] = None,
    model_name: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME[@VERSION]",
            help="With --url: a served model, instead of the default one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Predict image files; exit with code 1 if a file cannot be decoded."""
    _check_target(url, without=bundle, only_with={"--key-file": key_file, "--model": model_name})
    from oodguard.service.image_paths import image_files  # noqa: PLC0415
    from oodguard.service.verdict_table import print_table  # noqa: PLC0415

    files = image_files(images)
    if url is None:
        answer, failed = _predict_locally(list(files), _settings(bundle=bundle), fdr)
    else:
        from oodguard.service.predict_url import predict_remotely  # noqa: PLC0415

        answer, failed = predict_remotely(
            url, list(files), key_file=key_file, model=model_name, fdr=fdr
        )
    if as_json:
        print_json(answer)
    elif answer["predictions"]:
        print_table(answer)
    for path, reason in failed:
        print_error(escape_control_characters(f"{path}: {reason}"))
    raise typer.Exit(ExitCode.INVALID if failed else ExitCode.OK)


def _check_target(
    url: str | None, *, without: Path | None, only_with: Mapping[str, object]
) -> None:
    """Exit with a usage error if options for a service and for a bundle are mixed."""
    fault = "--bundle is given with --url, expected one of them" if url and without else ""
    if url is None:
        given = [name for name, value in only_with.items() if value is not None]
        fault = f"{given[0]} is given without --url, expected both" if given else ""
    if fault:
        print_error(fault)
        raise typer.Exit(ExitCode.USAGE)


def _predict_locally(
    files: Sequence[Path], settings: Settings, fdr: str | None
) -> tuple[dict[str, Any], list[tuple[Path, str]]]:
    from oodguard.service import predict_files  # noqa: PLC0415
    from oodguard.service.inference.model import errors_with_folder, load_model  # noqa: PLC0415
    from oodguard.service.telemetry.logs import silence_decoders  # noqa: PLC0415

    silence_decoders()
    with errors_with_folder(settings.bundle):
        model = load_model(settings.bundle, settings)
    rate = None if fdr is None else predict_files.rate_of(fdr, model)
    predicted, failed = predict_files.predict_files(model, files, settings, rate)
    for limitation in model.guard.limitations if predicted else ():
        typer.echo(
            "oodguard: warning: the policy does not hold in full:"
            f" {escape_control_characters(limitation)}.",
            err=True,
        )
    return predict_files.answer_of(model, predicted, rate), failed


@app.command(epilog=examples("oodguard verify models/pretrained/cifar10-aloe"))
def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    as_json: Annotated[
        bool,
        json_option(
            "model",
            "policy",
            "classes",
            "input",
            "scores",
            "calibration",
            "limitations",
            "reasons",
            "providers",
        ),
    ] = False,
) -> None:
    """Verify a bundle: its files, its graph, and its calibration under the configured policy."""
    settings = _settings(bundle=bundle)
    from oodguard.service.inference.model import errors_with_folder, load_model  # noqa: PLC0415
    from oodguard.service.predict_files import print_summary, summary_json  # noqa: PLC0415

    with errors_with_folder(settings.bundle):
        model = load_model(settings.bundle, settings)
    model.session.warm_up()
    if as_json:
        print_json(summary_json(model))
    else:
        print_summary(model)


def _settings(**options: Path | str | int | None) -> Settings:
    for name in unknown_variables():
        print_notice(f"unknown setting {name}; see oodguard serve --help")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        for fault in error.errors():
            field = str(fault["loc"][0]) if fault["loc"] else ""
            name = f"--{field}" if field in given else variable(field)
            print_error(describe_error(fault, name, null="none"))
        raise typer.Exit(ExitCode.USAGE) from None


calibrate_cli.add_to(app, _settings)
score_cli.add_to(app, _settings)
