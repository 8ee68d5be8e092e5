import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from oodguard.service.telemetry import logs

FIELDS = {"fields": {"path": "/a b", "code": 200, "agent": "x\x1b[2J"}}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("logThreads", "logProcesses", "logMultiprocessing"):
        monkeypatch.setattr(logging, flag, getattr(logging, flag))


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.logs")
    token = logs.request_ids.set({"request_id": "seven"})
    yield logger
    logs.request_ids.reset(token)


def _written(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, log_format: str) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info", log_format)  # type: ignore[arg-type]
    logging.getLogger("tests.logs").info("The request is complete.", extra=FIELDS)
    logging.getLogger("tests.logs").debug("Not logged.")
    return stream.getvalue()


@pytest.mark.parametrize(("stream", "log_format"), [(io.StringIO, "auto"), (Terminal, "json")])
def test_logs_are_json_lines_if_stderr_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
    logger: logging.Logger,
    stream: type[io.StringIO],
    log_format: str,
) -> None:
    (line,) = _written(monkeypatch, stream(), log_format).splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("+00:00")
    assert record == {
        "level": "info",
        "logger": logger.name,
        "message": "The request is complete.",
        "request_id": "seven",
        **FIELDS["fields"],
    }


@pytest.mark.parametrize(("stream", "log_format"), [(Terminal, "auto"), (io.StringIO, "text")])
@pytest.mark.usefixtures("logger")
def test_logs_are_readable_lines_if_stderr_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], log_format: str
) -> None:
    (line,) = _written(monkeypatch, stream(), log_format).splitlines()
    assert line.endswith(
        "INFO    tests.logs: The request is complete."
        ' request_id=seven path="/a b" code=200 agent="x\\u001b[2J"'
    )


def test_json_logs_escape_file_names_that_are_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info", "json")
    folder = Path(os.fsdecode(b"\xff\xc3\xa9"))
    fields = {"folder": folder, "detail": str(folder), "providers": ("CPU",)}
    logging.getLogger("tests.logs").warning("Refused.", extra={"fields": fields})
    (line,) = stream.getvalue().splitlines()
    record = orjson.loads(line)
    assert record["folder"] == record["detail"] == "\\udcff\u00e9"
    assert record["providers"] == ["CPU"]


@pytest.mark.usefixtures("logger")
def test_text_logs_escape_control_characters_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info")
    logging.getLogger("uvicorn.error").warning("Exception in %s\n", "a\x1b[2J \udcff\u2028 \u00e9")
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.endswith(
        "uvicorn.error: Exception in a\\u001b[2J \\udcff\\u2028 \u00e9\\n request_id=seven"
    )


def test_text_logs_end_with_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info")
    try:
        raise ValueError("it broke")
    except ValueError:
        logging.getLogger("tests.logs").exception("The request failed.", extra=FIELDS)
    first, *rest = stream.getvalue().splitlines()
    assert "The request failed. path=" in first
    assert rest[-1] == "ValueError: it broke"


def test_logging_survives_a_closed_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    logs.configure("info")
    logging.getLogger("tests.logs").warning("Lost.")


def test_malformed_multipart_bodies_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        logs.silence_decoders()
    try:
        with pytest.raises(MultipartParseError):
            MultipartParser(b"x").write(b"--evil")
    finally:
        logging.getLogger("python_multipart").setLevel(logging.NOTSET)
    assert caplog.records == []
