"""The entry point of `oodguard-train`."""

from oodguard.command_line.entry import run_program
from oodguard.training.cli.process_exit import exit_if_connected


def main() -> None:
    """Run the command line, or exit if the training extra is not installed."""
    try:
        run_program("oodguard.training.cli.app", program="oodguard-train", extra="training")
    except SystemExit as ended:
        exit_if_connected(ended.code)
        raise
