"""The command `oodguard drift`: acknowledge drift by a reset of its evidence."""

import http.client
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

import orjson
import typer

from oodguard.command_line.output import json_option, print_json
from oodguard.command_line.program import examples
from oodguard.models.names import escape_control_characters
from oodguard.service.drift.reset_request import ResetRequest
from oodguard.service.drift.state_folder import REPLICA, is_used
from oodguard.service.errors import DriftStateError, ServiceUnavailable

TIMEOUT_S = 30.0

# The monitor looks for requests every second; a busy disk may take some more.
TAKEN_WITHIN_S = 5.0

POLL_INTERVAL_S = 0.05

MAX_KEY_FILE_BYTES = 4096

NO_ROUTE = "/problems/not-found"

LATER = frozenset({"/problems/not-ready", "/problems/overloaded", "/problems/rate-limited"})
"""The problems after which the same request may succeed."""

_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}

app = typer.Typer(
    help="Acknowledge drift: reset its evidence.",
    epilog=examples("oodguard drift reset cifar10-aloe --state state"),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredState:
    """A state file, and the name and the version of its model."""

    model: str
    version: str
    file: Path


@app.callback()
def _group() -> None:
    """Keep `reset` a sub-command: typer would replace `drift` by a command that is alone."""


@app.command(
    epilog=examples(
        "oodguard drift reset cifar10-aloe --state state",
        "oodguard drift reset cifar10-aloe@1 --url http://localhost:8000 --key-file admin.key",
    )
)
def reset(
    model: Annotated[str, typer.Argument(help="NAME or NAME@VERSION of the model.")],
    state: Annotated[
        Path | None,
        typer.Option(envvar="OODGUARD_STATE", help="State folder of the service."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Use the admin route of the service at this address instead."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File that contains a key with the role admin; requires --url."),
    ] = None,
    as_json: Annotated[bool, json_option("model", "resets")] = False,
) -> None:
    """Start the drift tests of a model again, without evidence.

    By default the reset is requested in the state folder, where a running service takes it within
    a second, and a stopped one when it starts. With --url it is requested from the admin route.
    """
    if url is None and key_file is not None:
        raise DriftStateError(
            f"--key-file is {key_file}, but --url is not set: set --url to the address of the"
            " service, or remove --key-file"
        )
    if url is not None:
        lines = reset_by_route(url, model, key_file)
    elif state is not None:
        lines = reset_in_folder(state, model)
    else:
        raise DriftStateError(
            "OODGUARD_STATE is not set, so that only a running service has the evidence: use"
            " --url and --key-file, or restart the service"
        )
    if as_json:
        print_json({"model": model, "resets": lines})
        return
    for line in lines:
        # From a file or a response, whose content is not trusted.
        typer.echo(escape_control_characters(line))


def reset_in_folder(folder: Path, model: str) -> list[str]:
    """Request a reset in the state folder, and wait for a service to take it.

    Returns:
        One line for each version of the model and each replica.

    Raises:
        DriftStateError: The folder has no state of the model, or cannot be written, or a running
            service does not reset the evidence.
    """
    requests = {each: ResetRequest(each.file) for each in _selected(folder, model)}
    for request in requests.values():
        request.write()
    give_up = time.monotonic() + TAKEN_WITHIN_S
    while any(each.is_pending() for each in requests.values()) and time.monotonic() < give_up:
        time.sleep(POLL_INTERVAL_S)
    done, failed = [], []
    for state, request in requests.items():
        name = f"{state.model} {state.version}{_of(state, folder)}"
        if not request.is_pending():
            done.append(f"{name}: the reset is done")
        elif is_used(state.file.parent):
            failed.append(name)
        else:
            done.append(
                f"{name}: the reset is requested, but no service is running with this folder: it"
                " is done when one starts"
            )
    if failed:
        raise DriftStateError(
            "\n".join(
                [
                    f"the running service has not reset {', '.join(failed)} within"
                    f" {TAKEN_WITHIN_S:g} s: see its log. It tries again until it succeeds",
                    *done,
                ]
            )
        )
    return done


def _of(state: StoredState, folder: Path) -> str:
    """Return which replica a state belongs to, unless it is the first one's."""
    return "" if state.file.parent == folder else f" of {state.file.parent.name}"


def reset_by_route(url: str, model: str, key_file: Path | None) -> list[str]:
    """Request a reset from the admin route of a running service.

    Returns:
        One line for each version of the model.

    Raises:
        ServiceUnavailable: The service cannot be reached, or is not ready.
        DriftStateError: The service does not reset the evidence.
    """
    name, _, version = model.partition("@")
    path = f"/admin/models/{quote(name, safe='')}"
    if version:
        path += f"/versions/{quote(version, safe='')}"
    status, body = _post(url, f"{path}/drift/reset", key_file)
    try:
        response = orjson.loads(body)
        if status != http.client.OK:
            hint = (
                ": the service runs without its admin routes (OODGUARD_ADMIN), or --url has another"
                " path"
                if response["type"] == NO_ROUTE
                else ""
            )
            kind = ServiceUnavailable if response["type"] in LATER else DriftStateError
            raise kind(f"{url} returned {status}: {response['detail']}{hint}")
        return [
            f"{each['model']} {each['version']}: the reset is done; the log evidence was"
            f" {each['scores']['log_martingale']:.3g} for scores and"
            f" {each['rejections']['log_martingale']:.3g} for rejections"
            for each in response["resets"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DriftStateError(f"{url} returned {status} and no response of OOD Guard") from error


def _post(url: str, path: str, key_file: Path | None) -> tuple[int, bytes]:
    headers = {} if key_file is None else {"authorization": f"Bearer {_read_key(key_file)}"}
    try:
        parts = urlsplit(url)
        # Unlike urllib, http.client follows no redirect, which could send the key elsewhere.
        open_connection = _CONNECTIONS[parts.scheme]
        connection = open_connection(parts.netloc, timeout=TIMEOUT_S)
        connection.request("POST", parts.path.rstrip("/") + path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (KeyError, ValueError, http.client.InvalidURL) as error:
        raise DriftStateError(
            f"--url is {url}, expected http://HOST:PORT or https://HOST"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable(f"{url} cannot be reached: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    """Return the reason of the system, without its number and the path; else the error's text."""
    return getattr(error, "strerror", None) or str(error)


def _read_key(file: Path) -> str:
    try:
        # It may be the pipe of a password manager. A device may never end.
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY_FILE_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DriftStateError(f"--key-file {file} cannot be read: {_cause(error)}") from error
    if not key.isprintable() or not key:
        raise DriftStateError(f"--key-file {file} has no key, expected one line with a key")
    return key


def _selected(folder: Path, model: str) -> list[StoredState]:
    if not folder.is_dir():
        raise DriftStateError(
            f"{folder} is not a folder, expected the state folder of a service: set --state or"
            " OODGUARD_STATE to it"
        )
    name, _, version = model.partition("@")
    states = _stored_states(folder)
    selected = [each for each in states if each.model == name and version in {"", each.version}]
    if not selected:
        names = dict.fromkeys(f"{each.model}@{each.version}" for each in states)
        known = ", ".join(names) or "none"
        raise DriftStateError(
            f"{folder} has no drift state of {model}, expected one of: {known}. A service writes"
            " the state when it starts"
        )
    return selected


def _stored_states(folder: Path) -> list[StoredState]:
    """Return the states of all replicas, sorted by file; unreadable files are omitted."""
    # Here, so that help and usage errors are quick.
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    states = []
    files = (folder.glob(f"{place}drift-*@*.safetensors") for place in ("", f"{REPLICA}*/"))
    for file in sorted(chain(*files)):
        # Opening a named pipe would block.
        if not file.is_file():
            continue
        try:
            with safe_open(file, framework="numpy") as opened:
                metadata = opened.metadata() or {}
        except (OSError, SafetensorError):
            continue
        if {"model", "version"} <= metadata.keys():
            states.append(
                StoredState(model=metadata["model"], version=metadata["version"], file=file)
            )
    return states
