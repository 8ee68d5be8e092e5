"""Fixtures: clients of a real application, and of scripted responses."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from oodguard.client import Client
from tests.service.conftest import (  # noqa: F401 - fixtures
    MakeClient,
    _plain_environment,
    _restore_logging,
    access_log,
    bundle_folder,
    gate,
    issued,
    key_file,
    make_client,
    make_secured,
    three_models,
)

URL = "http://testserver"


def client_of(application: TestClient, **options: Any) -> Client:
    """Return a client that sends to an application in this process."""
    return Client(URL, transport=application._transport, **options)


@pytest.fixture
def client(make_client: MakeClient) -> Iterator[Client]:  # noqa: F811
    """A client of an application on a tiny graph, with default settings."""
    yield client_of(make_client())
    # A loop that is left early does not wait for its requests. The application would wait for a
    # client that reads no more, because its requests here have no connection that can end.
    for thread in threading.enumerate():
        if thread.name.startswith("oodguard-client"):
            thread.join()
