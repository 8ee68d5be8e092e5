"""`python -m oodguard.service` runs `oodguard` where the console script is not on the path."""

from oodguard.service.cli import app

app(prog_name="oodguard")
