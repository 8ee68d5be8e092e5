"""The command `oodguard score`."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from oodguard.command_line.output import json_option
from oodguard.command_line.program import examples
from oodguard.models.errors import install_hint
from oodguard.service.errors import ScoringError
from oodguard.service.scoring.worker_pool import WorkerPool, worker_count
from oodguard.service.settings import Settings

RAY_ADDRESS = re.compile(r"auto|local|[^/]+:\d+|ray://.*")


class _AddressIsOptional(TyperCommand):
    """A command in which `--ray` without an address is `--ray local`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        given = []
        for each, following in zip(args, [*args[1:], ""], strict=True):
            given.append(each)
            if each == "--ray" and not RAY_ADDRESS.fullmatch(following):
                given.append("local")
        return super().parse_args(ctx, given)


def add_to(app: typer.Typer, read_settings: Callable[..., Settings]) -> None:
    """Add the command; `read_settings` returns the settings with options in their place."""

    @app.command(
        cls=_AddressIsOptional,
        epilog=examples(
            "oodguard score photos --out verdicts.parquet",
            "oodguard score 's3://bucket/photos/*.jpg' --out verdicts.parquet --fdr 0.1",
            "oodguard score s3://bucket/photos --out verdicts.parquet --ray auto",
        ),
    )
    def score(  # noqa: PLR0913 - options
        sources: Annotated[
            list[str],
            typer.Argument(
                metavar="SOURCE...",
                help="Folders, patterns such as 'photos/**/*.jpg', pictures, tables (Parquet, CSV,"
                " JSON), or s3://BUCKET/PREFIX.",
            ),
        ],
        out: Annotated[
            Path, typer.Option(help="Folder of the Parquet files, new or of a run to continue.")
        ],
        bundle: Annotated[
            Path | None, typer.Option(help="Folder of the bundle.", show_default=False)
        ] = None,
        fdr: Annotated[
            str | None,
            typer.Option(
                metavar="Q",
                help="Decide about all images together, at a false-discovery rate above 0 and"
                " below 1.",
                show_default=False,
            ),
        ] = None,
        image_column: Annotated[
            str | None,
            typer.Option(help="Column of the images in a table.", show_default="by type and name"),
        ] = None,
        ray: Annotated[
            str | None,
            typer.Option(
                metavar="[ADDRESS]",
                help="Score on Ray: on this machine, or on the cluster at auto or HOST:PORT.",
                show_default=False,
            ),
        ] = None,
        as_json: Annotated[
            bool,
            json_option(
                *("model", "policy", "fdr", "source", "images", "scored", "errors", "rejected"),
                *("rejected_share", "by_class", "by_reason", "drift", "worst"),
                *("shards", "seconds", "images_per_second"),
            ),
        ] = False,
    ) -> None:
        """Score many pictures to Parquet files; the same command continues a run that was killed.

        A picture that cannot be decoded is a row with an error, and the exit status is 0.
        """
        settings = read_settings(bundle=bundle)
        if find_spec("pyarrow") is None:
            missing = ModuleNotFoundError(name="pyarrow")
            raise ScoringError(f"pyarrow is not installed. {install_hint('tables')}") from missing
        opened: AbstractContextManager[WorkerPool | str]
        opened = WorkerPool(worker_count(settings)) if ray is None else nullcontext(ray)
        with opened as engine:
            # While the workers start.
            from oodguard.service.scoring import command  # noqa: PLC0415

            command.run(
                settings,
                sources,
                out,
                fdr=fdr,
                image_column=image_column,
                engine=engine,
                as_json=as_json,
            )
