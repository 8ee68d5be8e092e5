"""The command `oodguard calibrate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from oodguard.command_line.output import json_option
from oodguard.command_line.program import examples
from oodguard.service.settings import Settings


def add_to(app: typer.Typer, read_settings: Callable[..., Settings]) -> None:
    """Add the command; `read_settings` returns the settings with options in their place."""

    @app.command(
        epilog=examples(
            "oodguard calibrate models/pretrained/cifar10-aloe --data photos --out cifar10-recent",
            "oodguard calibrate gtsrb-aloe --data frames --group folder --out gtsrb-2 --version 2",
        )
    )
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
                help="Version of the new bundle.",
                show_default="the next post-release, such as 1.post1",
            ),
        ] = None,
        group: Annotated[
            str | None,
            typer.Option(
                help="Groups of near-duplicates, such as films: a column of a table; for a folder"
                " 'folder', 'name:PATTERN' or 'FILE:COLUMN'."
            ),
        ] = None,
        group_across_classes: Annotated[
            bool,
            typer.Option(
                "--group-across-classes",
                help="Images of all classes with one value are one group, such as a film that"
                " shows several classes.",
            ),
        ] = False,
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
        as_json: Annotated[
            bool,
            json_option(
                "folder", "model", "replaced", "calibration", "comparison", "largest", "notes"
            ),
        ] = False,
    ) -> None:
        """Calibrate a bundle on other images: the same model, a new threshold, a new version."""
        settings = read_settings(bundle=bundle)
        from oodguard.service.recalibration import command  # noqa: PLC0415

        command.run(
            settings,
            data=data,
            out=out,
            version=version,
            by=by,
            group=group,
            group_across_classes=group_across_classes,
            images=images,
            labels=labels,
            skip_broken=skip_broken,
            image_column=image_column,
            label_column=label_column,
            as_json=as_json,
        )
