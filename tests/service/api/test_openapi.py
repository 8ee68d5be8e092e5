"""The OpenAPI schema describes which operations require an API key, and with which role."""

from starlette.testclient import TestClient


def test_openapi_has_the_bearer_scheme_and_the_role_of_each_operation(secured: TestClient) -> None:
    description = secured.get("/openapi.json").json()
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


def test_openapi_describes_denied_requests_as_errors_of_their_protocol(secured: TestClient) -> None:
    description = secured.get("/openapi.json").json()
    for path in ("/predict", "/models", "/metrics", "/admin/models/reload"):
        (operation,) = description["paths"][path].values()
        for status in ("401", "403", "429"):
            assert "application/problem+json" in operation["responses"][status]["content"]
    shapes = {
        response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in ("/v2", "/v2/models/{name}", "/v2/models/{name}/infer")
        for operation in description["paths"][path].values()
        for response in (operation["responses"][status] for status in ("401", "403", "429"))
    }
    assert shapes == {"OipError"}
    assert "security" not in description["paths"]["/v2/health/ready"]["get"]


def test_openapi_without_keys_has_no_security(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert "securitySchemes" not in description["components"]
    assert "security" not in description["paths"]["/predict"]["post"]
