"""`python -m oodguard.training`, as torchrun starts it: the command line `oodguard-train`."""

import sys

from oodguard.training.cli.main import app

if __name__ == "__main__":
    sys.argv[0] = "oodguard-train"  # what a run's record of its command is to say
    app()
