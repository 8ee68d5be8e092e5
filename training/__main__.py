"""`python -m oodguard.training`, which torchrun starts, runs `oodguard-train`."""

import sys

from oodguard.training.cli.main import main

if __name__ == "__main__":
    sys.argv[0] = "oodguard-train"  # the name that a run records in its command
    main()
