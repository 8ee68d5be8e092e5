"""The API's description says which operations want a key, and with which role."""

from starlette.testclient import TestClient


def test_the_scheme_is_described_and_each_operation_names_its_role(guarded: TestClient) -> None:
    description = guarded.get("/openapi.json").json()
    scheme = description["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    paths = description["paths"]
    assert paths["/predict"]["post"]["security"] == [{"key": ["predict"]}]
    assert paths["/models/{name}/predict"]["post"]["security"] == [{"key": ["predict"]}]
    assert paths["/models"]["get"]["security"] == [{"key": ["predict"]}]
    assert paths["/metrics"]["get"]["security"] == [{"key": ["metrics"]}]
    assert paths["/admin/models/reload"]["post"]["security"] == [{"key": ["admin"]}]
    for path in ("/healthz", "/readyz"):
        assert "security" not in paths[path]["get"]
        assert "401" not in paths[path]["get"]["responses"]


def test_what_refuses_is_described_as_problems(guarded: TestClient) -> None:
    description = guarded.get("/openapi.json").json()
    assert description == guarded.get("/openapi.json").json()
    for path in ("/predict", "/models", "/metrics", "/admin/models/reload"):
        (operation,) = description["paths"][path].values()
        for status in ("401", "403", "429"):
            assert "application/problem+json" in operation["responses"][status]["content"]


def test_what_refuses_is_an_error_of_the_protocol_where_it_is_spoken(guarded: TestClient) -> None:
    description = guarded.get("/openapi.json").json()
    shapes = {
        response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in ("/v2", "/v2/models/{name}", "/v2/models/{name}/infer")
        for operation in description["paths"][path].values()
        for response in (operation["responses"][status] for status in ("401", "403", "429"))
    }
    assert shapes == {"OipError"}
    assert "security" not in description["paths"]["/v2/health/ready"]["get"]


def test_without_keys_none_is_described(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert "securitySchemes" not in description["components"]
    assert "security" not in description["paths"]["/predict"]["post"]
