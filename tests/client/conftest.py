"""Fixtures: clients of a real application, and of scripted responses."""

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
def client(make_client: MakeClient) -> Client:  # noqa: F811
    """A client of an application on a tiny graph, with default settings."""
    return client_of(make_client())
