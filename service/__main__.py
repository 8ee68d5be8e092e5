"""The entry point of `oodguard`, also as `python -m oodguard.service`."""

from oodguard.command_line.entry import run_program


def main() -> None:
    """Run the command line, or exit if a package of the service is not installed."""
    run_program("oodguard.service.cli", program="oodguard", extra="cpu")


if __name__ == "__main__":
    main()
