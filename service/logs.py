"""The log: one JSON object a line, on standard error."""

import logging
import sys
import warnings
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

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


def configure(level: str) -> None:
    """Send every logger of this process to standard error as JSON.

    Args:
        level: Least severity that is written: debug, info, warning or error.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def silence_decoders() -> None:
    """Drop Pillow's warnings of odd metadata: hostile images would write the log full of them."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
