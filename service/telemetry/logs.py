"""Log to standard error: JSON lines for machines, readable lines on a terminal.

A log call is a constant event sentence plus fields:
`logger.info("API keys reloaded.", extra={"fields": {"keys": 3}})`.
"""

import asyncio
import json
import logging
import os
import select
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

request_ids: ContextVar[Mapping[str, str] | None] = ContextVar("request_ids", default=None)
"""The ids of the current request; every record that is logged in its context has them.

They end with the context: the server handles each request in its own task.
"""


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {**(request_ids.get() or {}), **getattr(record, "fields", {})}


class JsonFormatter(logging.Formatter):
    """Format a record as one JSON object; its fields and the request's ids become keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON text of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:
            # The name of a file that is not UTF-8 contains surrogates, which JSON cannot.
            return orjson.dumps(_without_surrogates(line), default=str).decode()


def _without_surrogates(value: object) -> object:
    """Escape the surrogates in all texts of a JSON value, with a backslash."""
    if isinstance(value, str | os.PathLike):
        return str(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    return value


class TextFormatter(logging.Formatter):
    """Format a record as a readable line: time, level, logger, message, `name=value` fields.

    A record with the attribute `summary` has each field on a line of its own.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base class
        """Return the line of a record, without its traceback."""
        message = _escaped(super().formatMessage(record))
        if getattr(record, "summary", False):
            fields = _fields(record)
            width = max(map(len, fields))
            rows = [
                f"{name if first else '':<{width}}  {line}"
                for name, value in fields.items()
                for first, line in _lines(value)
            ]
            return "\n    ".join([message, *rows])
        pairs = [f"{name}={_quoted(value)}" for name, value in _fields(record).items()]
        return " ".join([message, *pairs])


def _escaped(text: str) -> str:
    """Escape control characters, which would split a line or control the terminal."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def _lines(value: object) -> Iterator[tuple[bool, str]]:
    """Yield the lines of a value of a summary, one for each object, and whether it is the first."""
    if isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        yield from ((index == 0, _plain(each)) for index, each in enumerate(value))
    else:
        yield True, _plain(value)


def _plain(value: object) -> str:
    """Return a value of a summary as text: objects as `name value` pairs, arrays as lists."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_plain(each) for each in value) or "none"
    return _escaped("none" if value is None else str(value))


def _quoted(value: object) -> str:
    """Return a value as text; quote spaces, and escape control characters of a client's text."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


class IterationHandler(logging.StreamHandler[TextIO]):
    """Write the lines of one iteration of the event loop together, at its end.

    A system call for every line releases the interpreter lock in the middle of a request. Measured
    at twice the peak load, with a graph that does almost no work: one write for each line gives
    21 % less goodput.

    Warnings and errors, and lines that are logged outside of the event loop, are written at once,
    after all earlier lines. If the process is killed, the lines of its last iteration are lost.

    Attributes:
        max_bytes: Lines are written together up to this size; None: any size.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.max_bytes: int | None = None
        self._lines: list[str] = []
        # The loop in which a flush is scheduled.
        self._scheduled: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Format the record now, because its request's ids end with the context."""
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING or not self._schedule_flush():
            self.flush()

    def flush(self) -> None:
        """Write all lines; a stream that cannot be written to is ignored."""
        self.acquire()
        try:
            lines, self._lines, self._scheduled = self._lines, [], None
            with suppress(OSError, ValueError):
                for text in _joined([line + self.terminator for line in lines], self.max_bytes):
                    self.stream.write(text)
                    super().flush()
        finally:
            self.release()

    def _schedule_flush(self) -> bool:
        """Schedule a flush; return False outside of an event loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._scheduled:
            self._scheduled = loop
            loop.call_soon(self.flush)
        return True


def _joined(lines: list[str], max_bytes: int | None) -> Iterator[str]:
    """Yield the lines, as many together as `max_bytes` allows, but at least one."""
    if max_bytes is None:
        if lines:
            yield "".join(lines)
        return
    together: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode("utf-8", "replace"))
        if together and size + length > max_bytes:
            yield "".join(together)
            together, size = [], 0
        together.append(line)
        size += length
    if together:
        yield "".join(together)


def keep_lines_whole() -> None:
    """Write no more at once than a pipe takes whole: other processes write to it, too."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, IterationHandler):
            handler.max_bytes = select.PIPE_BUF


def configure(level: str, log_format: Literal["auto", "json", "text"] = "auto") -> None:
    """Send the records of every logger to standard error.

    Args:
        level: The least severe level that is logged: debug, info, warning or error.
        log_format: "json", "text", or "auto": text if standard error is a terminal, else JSON.
    """
    # No line contains them, and collecting them costs system calls for each record, or, for the
    # calling function, a search of the stack.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    logging._srcfile = None  # as Python's "Logging HOWTO" describes
    text = sys.stderr.isatty() if log_format == "auto" else log_format == "text"
    handler = IterationHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def silence_decoders() -> None:
    """Ignore the warnings of Pillow and python-multipart: malformed bodies would flood the log."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
