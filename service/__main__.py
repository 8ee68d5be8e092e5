"""`python -m service` is `oodguard`, for where the console script is not on the path."""

from service.cli import app

app(prog_name="oodguard")
