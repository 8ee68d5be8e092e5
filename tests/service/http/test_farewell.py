"""While the service drains, clients are asked to leave."""

from pathlib import Path

from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings


def test_connections_are_kept_until_the_service_drains(bundle_folder: Path) -> None:
    readiness = Readiness()
    with TestClient(create_app(Settings(bundle=bundle_folder), readiness)) as client:
        assert "connection" not in client.get("/healthz").headers
        readiness.drain()
        assert client.get("/healthz").headers["connection"] == "close"
        assert client.get("/nowhere").headers["connection"] == "close"
