"""The log: one JSON object a line, on standard error."""

import asyncio
import logging
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

about_request: ContextVar[Mapping[str, str] | None] = ContextVar("about_request", default=None)
"""The ids of the request in whose context something is logged: a traceback is to be found by them.

They end with the context: the server answers each request in a task of its own.
"""


class JsonFormatter(logging.Formatter):
    """A record as one JSON line; its `fields` and the request's ids become keys of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(about_request.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes what is logged in one turn of the event loop in one call of the system, at its end.

    A call for every line hands the processor to whoever reads the log, in the middle of a request.
    Warnings, and what is logged elsewhere, are written at once with all that came before. A process
    that is killed has not written the lines of its last turn.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        # Which loop was asked to write them.
        self._asked: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record in."""
        try:
            self._lines.append(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of the library
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING or not self._is_written_later():
            self.flush()

    def flush(self) -> None:
        """Write what was taken in."""
        self.acquire()
        try:
            lines, self._lines, self._asked = self._lines, [], None
            with suppress(OSError, ValueError):
                if lines:
                    self.stream.write("".join(f"{line}{self.terminator}" for line in lines))
                super().flush()
        finally:
            self.release()

    def _is_written_later(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._asked:
            self._asked = loop
            loop.call_soon(self.flush)
        return True


def configure(level: str, log_format: Literal["auto", "json", "text"] = "auto") -> None:  # noqa: ARG001 - text follows
    """Send every logger of this process to standard error as JSON.

    Args:
        level: Least severity that is written: debug, info, warning or error.
        log_format: "auto" is text where standard error is a terminal, else JSON.
    """
    # No line tells of them, and each record would ask the system for them.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    handler = BufferedHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def silence_decoders() -> None:
    """Drop Pillow's warnings of odd metadata: hostile images would write the log full of them."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
