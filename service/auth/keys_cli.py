"""The command `oodguard keys`: keys are made, and looked at as they are stored."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from oodguard.service.auth.key_file import KeyEntry, parse_entries, read_file
from oodguard.service.auth.keys import KeyHash, new_id, new_token
from oodguard.service.cli_errors import exit_on_error
from oodguard.service.errors import KeyFileError

PRIVATE = 0o600

app = typer.Typer(
    help="Make API keys and look at a file of them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def new(
    role: Annotated[
        list[str], typer.Option(help="predict, metrics or admin; may be given more than once.")
    ],
    key_id: Annotated[
        str | None, typer.Option("--id", help="What the log calls its owner; random by default.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="A limit of its own.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Add it to this file, made where it is missing.")
    ] = None,
) -> None:
    """Make a key and print it: the only time that it is seen. What is stored is its hash."""
    with exit_on_error():
        token, entry = make(role, key_id or new_id(), requests_per_minute)
        if file is not None:
            append(file, entry)
    typer.echo(token)
    if file is None:
        typer.echo(f"\n{entry.as_toml()}", nl=False)
    typer.echo("oodguard: the first line is the key, shown this once; hand it over", err=True)


@app.command("list")
def list_(file: Annotated[Path, typer.Argument(help="File of keys.")]) -> None:
    """Check a file of keys and print who is in it, with which roles."""
    with exit_on_error():
        entries = parse_entries(read_file(file), str(file))
    for entry in entries:
        limit = entry.requests_per_minute
        rate = "" if limit is None else f"  {limit}/min"
        made = "" if entry.created is None else f"  {entry.created.isoformat()}"
        typer.echo(f"{entry.id}  {','.join(entry.roles)}{rate}{made}")


def make(roles: list[str], key_id: str, requests_per_minute: int | None) -> tuple[str, KeyEntry]:
    """Make a key, and its entry for the file.

    Raises:
        KeyFileError: The id or a role is none.
    """
    token = new_token(key_id)
    said = {
        "id": key_id,
        "roles": list(dict.fromkeys(roles)),
        "hash": str(KeyHash.of(token)),
        "created": datetime.now(UTC).date(),
        "requests_per_minute": requests_per_minute,
    }
    try:
        return token, KeyEntry.model_validate(said)
    except ValidationError as error:
        fault = error.errors()[0]
        raise KeyFileError(f"{fault['loc'][0]}: {fault['input']!r} came; {fault['msg']}") from None


def append(path: Path, entry: KeyEntry) -> None:
    """Add an entry to a file of keys, readable by its owner alone where it is made.

    It is written in one piece behind what stands there, so that a service that reads the file
    meanwhile sees the old keys or the new ones.

    Raises:
        KeyFileError: The file is none of keys, has the id already, or cannot be written.
    """
    before = read_file(path) if path.exists() else ""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    added = f"{gap}{entry.as_toml()}"
    parse_entries(before + added, str(path))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(added.encode())
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
