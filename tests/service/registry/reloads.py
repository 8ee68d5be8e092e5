"""Reload a service in tests, and read which models and policies it serves."""

from starlette.testclient import TestClient

from oodguard.service.api.schemas import ModelsResponse
from tests.service.checks import ask, problem


def reload(client: TestClient, path: str = "/admin/models/reload") -> dict[str, tuple[str, str]]:
    response = client.post(path)
    assert response.status_code == 200, response.text
    return {
        f"{each['model']}@{each['version']}": (each["outcome"], each["detail"])
        for each in response.json()["changes"]
    }


def refused(client: TestClient) -> str:
    return problem(client.post("/admin/models/reload"), 409, "bundle-refused").detail


def used(
    client: TestClient, path: str = "/predict"
) -> tuple[str, float | None, float | None, float | None]:
    policy = ask(client, path).policy
    return policy.score, policy.alpha, policy.delta, policy.threshold


def models(client: TestClient) -> ModelsResponse:
    return ModelsResponse.model_validate_json(client.get("/models").content)
