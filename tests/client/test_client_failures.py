"""The client against scripted responses: what it repeats, refuses and never reveals."""

import logging
import math
import traceback
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from oodguard.client import (
    AsyncClient,
    Client,
    ClientError,
    OverloadedError,
    ServiceUnreachableError,
    UnexpectedResponseError,
)
from tests.client.conftest import URL
from tests.service.conftest import MakeClient
from tests.service.pictures import BLUE, GREEN, RED

PIXELS = np.stack([np.full((8, 8, 3), colour, np.uint8) for colour in (RED, GREEN, BLUE)])


def answers_of(*responses: Callable[[httpx2.Request], httpx2.Response] | Exception) -> Any:
    """Return a transport that answers in turn, and the requests that it received."""
    received: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        received.append(request)
        response = responses[min(len(received), len(responses)) - 1]
        if isinstance(response, Exception):
            raise response
        return response(request)

    return httpx2.MockTransport(answer), received


def test_client_reveals_its_key_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "oodguard_a_topsecret"
    transport, received = answers_of(
        lambda _: httpx2.Response(401, text="no"), httpx2.ConnectError("refused")
    )
    client = Client(URL, key=key, transport=transport, deadline_s=0.01)
    texts = [repr(client), str(vars(client))]
    for _ in range(2):
        with pytest.raises(ClientError) as raised:
            client.predict(b"image")
        error = raised.value
        assert error.__cause__ is None
        assert error.__context__ is None
        assert error.__traceback__ is not None
        inner = error.with_traceback(error.__traceback__.tb_next)  # not of this test
        report = traceback.TracebackException.from_exception(inner, capture_locals=True)
        texts += [repr(error), str(vars(error)), "".join(report.format())]
    assert received[0].headers["Authorization"] == f"Bearer {key}"
    with pytest.raises(ValueError, match="the API key has 12 characters") as invalid:
        Client(URL, key="top\nsecret\xe9x")
    texts.append(str(invalid.value))
    assert [text for text in [*texts, caplog.text] if "topsecret" in text or "xe9" in text] == []


def test_client_follows_no_redirect() -> None:
    redirect = httpx2.Response(307, headers={"Location": "https://other.example/predict"})
    transport, received = answers_of(lambda _: redirect)
    with pytest.raises(UnexpectedResponseError, match="redirects to 'https://other") as error:
        Client(URL, key="oodguard_a_b", transport=transport).predict(b"image")
    assert error.value.status == 307
    assert [request.url.host for request in received] == ["testserver"]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, "<html>", "status 200: the body is not a JSON object"),
        (200, "[]", "status 200: the body is not a JSON object"),
        (200, '{"predictions": []}', "0 predictions, expected 1"),
        (200, '{"predictions": [{}]}', "its fields are not those of /predict"),
        (404, "<html>", "status 404: it is no problem .* the URL of the service"),
        (500, "{}", "status 500: it is no problem"),
    ],
)
def test_client_names_a_response_that_is_none_of_the_service(
    status: int, body: str, message: str
) -> None:
    transport, _ = answers_of(lambda _: httpx2.Response(status, text=body))
    with pytest.raises(UnexpectedResponseError, match=message):
        Client(URL, transport=transport).predict(b"image")


def test_client_retries_with_one_request_id_until_it_has_a_response(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oodguard.client.retries.FIRST_WAIT_S", 0.001)
    application: TestClient = make_client()
    problem = {"type": "/problems/overloaded", "title": "t", "detail": "d", "request_id": "r"}
    transport, received = answers_of(
        lambda _: httpx2.Response(429, json=problem, headers={"Retry-After": "0"}),
        httpx2.ReadError("reset"),
        lambda _: httpx2.Response(502, text="bad gateway"),
        application._transport.handle_request,
    )
    assert Client(URL, transport=transport).predict(PIXELS[0]).label == "red"
    assert len(received) == 4
    assert len({request.headers["X-Request-Id"] for request in received}) == 1


def test_client_states_the_last_failure_when_retries_end() -> None:
    transport, received = answers_of(httpx2.ConnectError("Connection refused"))
    client = Client(URL, transport=transport, deadline_s=0.3)
    with pytest.raises(ServiceUnreachableError) as raised:
        client.predict(b"image")
    assert len(received) > 1
    assert str(raised.value) == f"{URL}: Connection refused, after {len(received)} attempts"
    assert not client.ready()
    assert not client.healthy()


def test_client_states_how_often_it_asked_a_busy_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oodguard.client.retries.FIRST_WAIT_S", 0.001)
    problem = {"type": "/problems/overloaded", "title": "t", "detail": "busy", "request_id": "r"}

    def busy(body: dict[str, str], seconds: str) -> Callable[[httpx2.Request], httpx2.Response]:
        return lambda _: httpx2.Response(429, json=body, headers={"Retry-After": seconds})

    transport, _ = answers_of(busy(problem, "0"), busy(problem, "0"), busy(problem, "600"))
    with pytest.raises(OverloadedError, match=r"^busy \(request r, after 3 attempts\)$") as raised:
        Client(URL, transport=transport).predict(b"image")
    assert raised.value.problem.attempts == 3
    transport, _ = answers_of(busy({}, "0"), busy({}, "600"))
    with pytest.raises(UnexpectedResponseError, match="status 429, after 2 attempts: it is no"):
        Client(URL, transport=transport).predict(b"image")
    transport, _ = answers_of(busy(problem, "600"))
    with pytest.raises(OverloadedError, match=r"^busy \(request r\)$"):
        Client(URL, transport=transport).predict(b"image")


def test_client_stops_when_its_iterator_is_closed() -> None:
    """Otherwise the waiting requests would be repeated for a minute."""
    ok = '{"predictions": []}'
    transport, received = answers_of(
        lambda _: httpx2.Response(200, text=ok), lambda _: httpx2.Response(503)
    )
    client = Client(URL, transport=transport, concurrency=2)
    with pytest.raises(UnexpectedResponseError):
        next(client.predict_many([bytes(9 * 2**20)] * 9))
    count = len(received)
    client.close()
    assert count <= len(received) <= count + 2


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8000", "ftp://a", "http://", "http://a/?b", "http://a/#b", "http://a:99999"),
        *("http://a\0b", "http://a b", "http://a\n", "http://..", "http://\u2603", "http://[::1"),
        "http://" + "a" * 64,
    ],
)
def test_client_rejects_what_is_no_url_of_a_service(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"the URL is '.*', expected one such as http://local"):
            kind(url)


def test_client_rejects_invalid_arguments(client: Client) -> None:
    with pytest.raises(ValueError, match="contains a user or a password") as raised:
        Client("http://me:topsecret@host")
    assert "topsecret" not in str(raised.value)
    with pytest.raises(ValueError, match="deadline_s is 0, expected seconds above 0"):
        Client(URL, deadline_s=0)
    for seconds in (math.inf, math.nan, 1e6):
        with pytest.raises(ValueError, match=r"deadline_s is .*, expected .* at most 999999"):
            Client(URL, deadline_s=seconds)
    for target in ({"model": ".."}, {"model": ""}, {"model": "a", "version": ".."}):
        with pytest.raises(ValueError, match=r"is '.*', expected that of a served model"):
            client.predict(PIXELS[0], **target)
    with pytest.raises(ValueError, match="concurrency is 0, expected at least 1"):
        Client(URL, concurrency=0)
    for identifier in ("", "a b", "x" * 49, "\u00e9"):
        with pytest.raises(ValueError, match=r"request_id is .*, expected 1 to 48 letters"):
            client.predict(PIXELS[0], request_id=identifier)
    with pytest.raises(TypeError, match="expected several images"):
        client.predict_many("a.png")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://a"),
        ("HTTP_PROXY", "http://[::a"),
        ("HTTPS_PROXY", "ftp://user:secret@proxy:1"),
        ("SSL_CERT_FILE", "/missing/file"),
    ],
)
def test_client_rejects_an_environment_that_it_cannot_use(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for kind in (Client, AsyncClient):
        with pytest.raises(
            ValueError, match=r"for a proxy .* for certificates .* cannot be used"
        ) as raised:
            kind(URL)
        assert "secret" not in str(raised.value)


def test_client_keeps_the_path_of_its_url() -> None:
    transport, received = answers_of(lambda _: httpx2.Response(200, json={"status": "ready"}))
    assert Client("https://host/guard/", transport=transport).ready()
    assert str(received[0].url) == "https://host/guard/readyz"
