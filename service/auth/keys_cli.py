"""The command `oodguard keys`: create API keys and list a key file."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from oodguard.command_line.output import json_option, print_json, print_notice
from oodguard.command_line.program import examples
from oodguard.models.validation_errors import describe_error
from oodguard.service.auth.key_file import parse_keys, read_file
from oodguard.service.auth.keys import Key, hash_key, new_id, new_token
from oodguard.service.errors import KeyFileError

_OWNER_ONLY = 0o600

app = typer.Typer(
    help="Create API keys and list a key file.",
    epilog=examples("oodguard keys new --role predict --file keys.toml"),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    epilog=examples(
        "oodguard keys new --role predict --file keys.toml",
        "oodguard keys new --role metrics --role admin --id operator",
    )
)
def new(
    role: Annotated[
        list[str], typer.Option(help="Role: predict, metrics or admin. Repeat for more roles.")
    ],
    key_id: Annotated[
        str | None, typer.Option("--id", help="Id of the key in the log. Default: random.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Rate limit of this key.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Key file to append to; created if it does not exist."),
    ] = None,
    as_json: Annotated[
        bool, json_option("key", "id", "roles", "hash", "created", "requests_per_minute")
    ] = False,
) -> None:
    """Create a key and print it. Only its hash is stored: the key cannot be printed again."""
    token, entry = create_key(role, key_id or new_id(), requests_per_minute)

    def print_key() -> None:
        if as_json:
            print_json({"key": token, **entry.model_dump()})
        else:
            typer.echo(token)

    if file is None:
        print_key()
    else:
        append_key(file, entry, before=print_key)
    if file is None and not as_json:
        typer.echo(f"\n{entry.as_toml()}", nl=False)
    place = "the value of key" if as_json else "the first line"
    print_notice(f"{place} is the key. It is not stored; keep it safe.")


@app.command("list", epilog=examples("oodguard keys list keys.toml"))
def list_(
    file: Annotated[Path, typer.Argument(help="Key file.")],
    as_json: Annotated[bool, json_option("id", "roles", "created", "requests_per_minute")] = False,
) -> None:
    """Check a key file and print the id, roles, rate limit and date of each key."""
    keys = parse_keys(read_file(file), str(file))
    if as_json:
        print_json(
            [
                key.model_dump(include={"id", "roles", "created", "requests_per_minute"})
                for key in keys
            ]
        )
        return
    for key in keys:
        limit = key.requests_per_minute
        rate = "" if limit is None else f"  {limit}/min"
        created = "" if key.created is None else f"  {key.created.isoformat()}"
        typer.echo(f"{key.id}  {','.join(key.roles)}{rate}{created}")


def create_key(roles: list[str], key_id: str, requests_per_minute: int | None) -> tuple[str, Key]:
    """Create a key, and its entry in the key file.

    Raises:
        KeyFileError: The id or a role is invalid.
    """
    token = new_token(key_id)
    fields = {
        "id": key_id,
        "roles": list(dict.fromkeys(roles)),
        "hash": hash_key(token),
        "created": datetime.now(UTC).date(),
        "requests_per_minute": requests_per_minute,
    }
    try:
        return token, Key.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        raise KeyFileError(describe_error(fault, str(fault["loc"][0]))) from None


def append_key(path: Path, key: Key, *, before: Callable[[], None]) -> None:
    """Append a key to a key file; a new file is readable by its owner only.

    The key is written with one call, so that a service that reads the file at the same time sees
    either the old keys or the new ones.

    Args:
        path: The key file.
        key: The key.
        before: Called when the file is open; if it fails, the key is not added.

    Raises:
        KeyFileError: The file is not a key file, has the id already, or cannot be written. It is
            unchanged.
    """
    is_new = not path.exists()
    text = "" if is_new else read_file(path)
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    added = f"{gap}{key.as_toml()}"
    parse_keys(text + added, str(path))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _OWNER_ONLY)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    size = os.fstat(descriptor).st_size
    try:
        before()
        try:
            _write_all(descriptor, added.encode())
        except OSError as error:
            raise KeyFileError(
                f"{path}: {error.strerror}. The key was not added and is not valid"
            ) from error
    except BaseException:
        # A part of an entry would make the whole file invalid.
        os.ftruncate(descriptor, size)
        if is_new:
            path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)
