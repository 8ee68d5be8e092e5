"""The entry point of `oodguard-train`.

It imports no other package at module level, so that it can report a missing
training extra.
"""

import sys

from oodguard.models.errors import install_hint


def main() -> None:
    """Run the command line, or exit with status 1 if the training extra is not installed."""
    try:
        from oodguard.training.cli.app import app  # noqa: PLC0415  (see the module docstring)

        app(prog_name="oodguard-train")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "oodguard"):  # a defect of the project
            raise
        sys.exit(f"oodguard-train: {package} is not installed. {install_hint('training')}")
