"""Predict image files with a running service, for `oodguard predict --url`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from oodguard.command_line.exit_codes import ExitCode
from oodguard.command_line.output import warn
from oodguard.command_line.progress import progress
from oodguard.models.errors import GuardError
from oodguard.models.false_discovery import parse_rate
from oodguard.models.names import text_of
from oodguard.service.errors import KeyFileError, ServiceUnavailable, UnreadableFile
from oodguard.service.regular_file import read_regular_file
from oodguard.service.settings import CLIENT_KEY

if TYPE_CHECKING:
    from oodguard.client import ImageResult, InvalidImageError

MAX_KEY_BYTES = 4096

DEADLINE_S = 60.0
"""For a request and its retries, as the client's default: long enough for a restart."""

PATIENCE_S = 3.0
"""After this time without a result, the command reports that it waits."""

_FIELDS = ("label", "class_id", "confidence", "scores", "p_value", "decision", "reasons")

_VERDICT_FIELDS = ("label", "class_id", "p_value", "decision")

Answer = dict[str, Any]


class RemotePredictionError(GuardError):
    """A service that returned no verdicts."""


class RemoteOptionError(GuardError):
    """An option, a key or a variable of the environment with which no service can be called."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class MissingClientError(GuardError):
    """The packages of the client are not installed."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNAVAILABLE


def predict_remotely(  # noqa: PLR0913 - options
    url: str,
    files: Sequence[Path],
    *,
    key_file: Path | None,
    model: str | None,
    fdr: str | None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Answer, list[tuple[Path, str]]]:
    """Send files to a service.

    Args:
        url: The URL of the service.
        files: The files.
        key_file: A file with an API key; by default the key is in OODGUARD_CLIENT_KEY, if any.
        model: NAME or NAME@VERSION of a served model; by default that of the service.
        fdr: The false-discovery rate at which all files are decided together in one request.
        environment: The environment variables.

    Returns:
        The body of POST /predict for all files, without its request id, and with the file of each
        prediction; no predictions if no file has one. The failed files with the reason.

    Raises:
        RemotePredictionError: There are no verdicts.
        ServiceUnavailable: There are none, and the same call may return them later.
        RemoteOptionError: An option, the key or a variable is invalid.
        MissingClientError: The client is not installed.
        KeyFileError: The key cannot be read.
    """
    key = _key(key_file, environment)
    try:
        from oodguard import client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingClientError(f"--url: {error}") from error
    later = (
        *(client.ServiceUnreachableError, client.ResponseTimeoutError),
        *(client.OverloadedError, client.RateLimitedError, client.NotReadyError),
    )
    # The least rate depends on the calibration images, whose number the service knows.
    rate = None if fdr is None else parse_rate("--fdr", fdr, sys.maxsize)
    try:
        results, failed = asyncio.run(_predict(url, files, key=key, model=model, fdr=rate))
    except client.KeyMissingError as error:
        remedy = f"Give the key with --key-file or in {CLIENT_KEY}"
        raise RemotePredictionError(f"{error}. {remedy}") from error
    except client.TooManyImagesError as error:
        remedy = "Decide about so many images without --url, or with `oodguard score --fdr`"
        raise RemotePredictionError(f"{error}. {remedy}") from error
    except later as error:
        raise ServiceUnavailable(str(error)) from error
    except ValueError as error:
        raise RemoteOptionError(str(error)) from error
    except client.ClientError as error:
        raise RemotePredictionError(str(error)) from error
    return _answer(results), [(Path(each.name), each.reason) for each in failed]


async def _predict(
    url: str, files: Sequence[Path], *, key: str | None, model: str | None, fdr: float | None
) -> tuple[list["ImageResult"], list["InvalidImageError"]]:
    from oodguard.client import (  # noqa: PLC0415 - an extra
        AsyncClient,
        ImageResult,
        InvalidImageError,
    )

    name, _, version = (model or "").partition("@")
    target = {"model": name or None, "version": version or None}
    failed: list[InvalidImageError] = []
    async with (
        AsyncClient(url, key=key, deadline_s=DEADLINE_S) as client,
        _reporting_a_wait(url) as wait,
    ):
        if fdr is not None:
            together = list(files)
            while together:
                try:
                    return await client.predict_together(together, fdr=fdr, **target), failed
                except InvalidImageError as error:
                    failed.append(error)
                    del together[error.index]
            return [], failed
        results = list[ImageResult]()
        with progress("predicting", len(files)) as advance:

            def leave_out(error: InvalidImageError) -> None:
                failed.append(error)
                advance(1)

            async for each in client.predict_many(files, on_invalid=leave_out, **target):
                wait.cancel()
                results.append(each)
                advance(1)
        return results, failed


@asynccontextmanager
async def _reporting_a_wait(url: str) -> AsyncIterator[asyncio.Task[None]]:
    """Warn once if the service is not ready after `PATIENCE_S`, unless the task is cancelled."""
    from oodguard.client import AsyncClient  # noqa: PLC0415 - an extra

    async def report() -> None:
        await asyncio.sleep(PATIENCE_S)
        async with AsyncClient(url, deadline_s=PATIENCE_S) as client:
            if not await client.ready():
                warn(
                    f"{url} does not accept requests: GET /readyz has no answer of status 200."
                    f" Requests are repeated for {DEADLINE_S:.0f} s"
                )

    task = asyncio.create_task(report())
    try:
        yield task
    finally:
        task.cancel()


def _answer(results: list["ImageResult"]) -> Answer:
    """Return the results as one response body.

    Raises:
        RemotePredictionError: The results are from different models or policies.
    """
    if not results:
        return {"model": None, "policy": None, "predictions": []}
    first = results[0]
    for each in results:
        if (each.model, each.policy) != (first.model, first.policy):
            raise RemotePredictionError(
                f"the service answered {first.name} with {first.model.name} {first.model.version}"
                f" and {each.name} with {each.model.name} {each.model.version} or another policy,"
                " expected one model and policy: it was reloaded. Run the command again"
            )
    fields = _FIELDS if first.detail == "full" else _VERDICT_FIELDS
    return {
        "model": first.model.model_dump(),
        "policy": first.policy.model_dump(exclude_unset=True),
        "predictions": [
            {"file": text_of(each.name), **{name: fields_of[name] for name in fields}}
            for each in results
            for fields_of in [each.model_dump()]
        ],
    }


def _key(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the API key; the command line would show it to every user of the machine.

    Raises:
        KeyFileError: The file cannot be read. The message does not contain its content.
    """
    if file is None:
        return environment.get(CLIENT_KEY) or None
    try:
        return read_regular_file(file, MAX_KEY_BYTES).decode()
    except FileNotFoundError as error:
        raise KeyFileError(f"--key-file: {file}: {error.strerror}") from None
    except UnreadableFile as error:
        raise KeyFileError(f"--key-file: {error}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"--key-file: {file} is not a text file, expected an API key") from None
