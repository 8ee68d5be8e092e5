import asyncio
import io
import json
import logging
import os
import select
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
    assert line.endswith(',"providers":["CPU"]}')
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


def test_text_logs_show_a_list_without_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info")
    fields = {"providers": ("CUDA", "CPU"), "names": ["a b"]}
    logging.getLogger("tests.logs").info("Loaded.", extra={"fields": fields})
    assert stream.getvalue().endswith('Loaded. providers=CUDA,CPU names="a b"\n')


def test_text_logs_show_a_summary_with_a_line_for_each_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info")
    models = [{"name": "a", "delta": None}, {"name": "b\x1b", "delta": 0.05}]
    extra = {"fields": {"models": models, "address": "http://x"}, "summary": True}
    logging.getLogger("tests.logs").info("It starts.", extra=extra)
    first, *rows = stream.getvalue().splitlines()
    assert first.endswith("It starts.")
    assert rows == [
        "    models   name a, delta none",
        "             name b\\u001b, delta 0.05",
        "    address  http://x",
    ]


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


class RecordingStream(io.StringIO):
    """Record the messages of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[str]] = []

    def write(self, text: str) -> int:
        self.writes.append([json.loads(line)["message"] for line in text.splitlines()])
        return super().write(text)


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> RecordingStream:
    stream = RecordingStream()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("info", "json")
    return stream


def test_logs_of_one_loop_iteration_are_written_together(
    logger: logging.Logger, recording: RecordingStream
) -> None:
    async def log_in_two_iterations() -> None:
        for name in "ab":
            logger.info("%s1", name)
            logger.info("%s2", name)
            await asyncio.sleep(0)

    asyncio.run(log_in_two_iterations())
    assert recording.writes == [["a1", "a2"], ["b1", "b2"]]


def test_logs_of_several_processes_are_written_in_parts_that_a_pipe_takes_whole(
    logger: logging.Logger, recording: RecordingStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A line of one letter has about 100 bytes, and never as many as 150.
    monkeypatch.setattr(select, "PIPE_BUF", 299)
    logs.keep_lines_whole()

    async def log_at_once() -> None:
        for name in ("a", "b", "c" * 300, "d"):
            logger.info(name)

    asyncio.run(log_at_once())
    assert recording.writes == [["a", "b"], ["c" * 300], ["d"]]


def test_logs_write_a_warning_at_once_after_earlier_lines(
    logger: logging.Logger, recording: RecordingStream
) -> None:
    async def log_a_warning() -> None:
        logger.info("one")
        logger.warning("two")
        assert recording.writes == [["one", "two"]]
        logger.info("three")

    asyncio.run(log_a_warning())
    assert recording.writes == [["one", "two"], ["three"]]


def test_logs_outside_of_the_loop_are_written_at_once_in_order(
    logger: logging.Logger, recording: RecordingStream
) -> None:
    async def log_in_a_thread() -> None:
        logger.info("in the loop")
        await asyncio.to_thread(logger.info, "in a thread")

    logger.info("before")
    assert recording.writes == [["before"]]
    asyncio.run(log_in_a_thread())
    logger.info("after")
    written = [message for each in recording.writes for message in each]
    assert written == ["before", "in the loop", "in a thread", "after"]


def test_logs_of_a_stopped_loop_are_written_with_the_next_line(
    logger: logging.Logger, recording: RecordingStream
) -> None:
    def log_and_stop(loop: asyncio.AbstractEventLoop) -> None:
        logger.info("one")
        loop.stop()

    loop = asyncio.new_event_loop()
    loop.call_soon(log_and_stop, loop)
    loop.run_forever()
    loop.close()
    assert recording.writes == []
    logger.info("two")
    assert recording.writes == [["one", "two"]]


def test_logs_survive_a_closed_pipe(
    logger: logging.Logger, recording: RecordingStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(recording, "write", fail)
    logger.warning("lost")
    monkeypatch.undo()
    logger.warning("written")
    assert recording.writes == [["written"]]
