"""The internals of uvicorn that the service overrides or uses are as it expects them.

If a test fails after an update of uvicorn: compare service/server/pipelining.py,
connection_limit.py, header_limits.py, last_response.py and early_load_shedding.py with uvicorn's
httptools_impl.py, then adapt them and this test, and raise the upper bound in pyproject.toml.
"""

import asyncio
import inspect
from types import FunctionType
from typing import Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from oodguard.service.server.early_load_shedding import http_protocol_class


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (HttpToolsProtocol.__init__, ["self", "config", "server_state", "app_state", "_loop"]),
        (HttpToolsProtocol.connection_made, ["self", "transport"]),
        (HttpToolsProtocol.connection_lost, ["self", "exc"]),
        (HttpToolsProtocol.data_received, ["self", "data"]),
        (HttpToolsProtocol.on_message_begin, ["self"]),
        (HttpToolsProtocol.on_header, ["self", "name", "value"]),
        (HttpToolsProtocol.on_headers_complete, ["self"]),
        (HttpToolsProtocol.on_body, ["self", "body"]),
        (HttpToolsProtocol.on_message_complete, ["self"]),
        (HttpToolsProtocol.on_response_complete, ["self"]),
        (HttpToolsProtocol.pause_writing, ["self"]),
        (HttpToolsProtocol.resume_writing, ["self"]),
        (HttpToolsProtocol.send_400_response, ["self", "msg"]),
        (FlowControl.__init__, ["self", "transport"]),
        (FlowControl.pause_reading, ["self"]),
        (FlowControl.resume_reading, ["self"]),
        (uvicorn.Server.startup, ["self", "sockets"]),
        (uvicorn.Server.shutdown, ["self", "sockets"]),
        (uvicorn.Server.on_tick, ["self", "counter"]),
        (uvicorn.Server.handle_exit, ["self", "sig", "frame"]),
    ],
)
def test_uvicorn_method_has_the_expected_parameters(
    method: FunctionType, parameters: list[str]
) -> None:
    assert list(inspect.signature(method).parameters) == parameters


def test_uvicorn_protocol_has_the_expected_attributes() -> None:
    config = uvicorn.Config(PlainTextResponse(""), log_config=None)
    protocol = http_protocol_class(None)(config, ServerState(), {}, asyncio.new_event_loop())
    protocol.on_message_begin()
    protocol.loop.close()
    assert {
        "connections", "cycle", "expect_100_continue", "flow", "headers", "loop", "parser",
        "pipeline", "scope", "timeout_keep_alive_task", "transport", "url",
    } <= vars(protocol).keys()  # fmt: skip
    assert {"type", "headers", "root_path", "state"} <= protocol.scope.keys()
    assert {"get_http_version", "get_method", "should_keep_alive", "should_upgrade"} <= set(
        dir(protocol.parser)
    )


def test_uvicorn_calls_the_overridden_methods() -> None:
    callbacks = names_in(HttpToolsProtocol.data_received)
    assert {"feed_data", "HttpParserError", "send_400_response"} <= callbacks
    assert {"response_complete", "message_event"} <= names_in(HttpToolsProtocol.connection_lost)
    assert "response_complete" in names_in(HttpToolsProtocol.on_body)
    assert "response_complete" in names_in(HttpToolsProtocol.on_message_complete)
    assert {"resume_reading", "pipeline"} <= names_in(HttpToolsProtocol.on_response_complete)
    assert {
        "response_complete", "keep_alive", "transport", "waiting_for_100_continue",
    } <= names_in(RequestResponseCycle.__init__)  # fmt: skip
    assert {"response_started", "keep_alive", "transport", "close", "on_response"} <= names_in(
        RequestResponseCycle.send
    )
    assert "resume_reading" in names_in(RequestResponseCycle.receive)


def test_uvicorn_starts_the_keep_alive_timer_after_a_response_and_stops_it_on_data() -> None:
    assert "_unset_keepalive_if_required" in names_in(HttpToolsProtocol.data_received)
    assert "timeout_keep_alive_task" in names_in(HttpToolsProtocol.on_response_complete)
    assert "timeout_keep_alive_task" in names_in(HttpToolsProtocol._unset_keepalive_if_required)


def names_in(function: FunctionType | Any) -> set[str]:
    """Return the names that a function's code refers to."""
    return set(function.__code__.co_names)
