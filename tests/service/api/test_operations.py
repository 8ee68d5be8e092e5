"""Health, models, docs and the OpenAPI schema."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from oodguard.models.bundle import write_bundle
from oodguard.models.manifest import ROWS_VERSION, Description
from oodguard.models.records import AttackRecord, CalibrationRecord
from oodguard.service.api.schemas import ModelsResponse
from oodguard.service.app import create_app
from oodguard.service.readiness import Readiness
from oodguard.service.settings import Settings
from tests.service.checks import metric, post, problem, still_serves
from tests.service.conftest import MakeClient
from tests.service.pictures import encode, plain
from tests.service.tiny import write_tiny


def test_readyz_is_200_only_between_warm_up_and_draining(bundle_folder: Path) -> None:
    readiness = Readiness()
    app = create_app(Settings(bundle=bundle_folder), readiness)
    # A client outside of a `with` block does not start the lifespan.
    cold = TestClient(app)
    assert cold.get("/healthz").status_code == 200
    response = cold.get("/readyz")
    assert "starting" in problem(response, 503, "not-ready").detail
    assert response.headers["retry-after"] == "1"
    with TestClient(app) as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        readiness.drain()
        assert "draining" in problem(client.get("/readyz"), 503, "not-ready").detail
        assert client.get("/healthz").json() == {"status": "alive"}
        # Requests that arrive before the load balancer reacts are still answered.
        still_serves(client)


def test_predict_before_warm_up_is_503(bundle_folder: Path) -> None:
    client = TestClient(create_app(Settings(bundle=bundle_folder)))
    problem(post(client, encode(plain())), 503, "not-ready")


def test_draining_process_does_not_become_ready() -> None:
    readiness = Readiness()
    readiness.drain()
    readiness.warm()
    assert readiness.phase == "draining"


def test_every_route_answers_head_as_get_without_the_body(client: TestClient) -> None:
    routes = list(iter_route_contexts(client.app.router.routes))  # type: ignore[attr-defined]
    paths = {
        route.path.format(name="tiny", version="1", file="playground.css")
        for route in routes
        if route.path and "GET" in (route.methods or ())
    }
    assert {"/healthz", "/docs", "/openapi.json", "/models", "/metrics", "/v2", "/"} < paths
    for path in paths:
        response, expected = client.head(path), client.get(path)
        status = 404 if path.startswith("/guide") else 200  # the documentation is not served here
        assert expected.status_code == status, path
        assert (response.status_code, response.content) == (status, b""), path
        assert response.headers["content-type"] == expected.headers["content-type"]
        assert int(response.headers["content-length"]) > 0


def test_head_of_a_route_without_get_is_405(client: TestClient) -> None:
    response = client.head("/predict")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert client.head("/nope").status_code == 404


def test_head_is_counted_with_its_route(client: TestClient) -> None:
    client.head("/models")
    text = client.get("/metrics").text
    assert metric(text, "oodguard_requests_total", route="/models", code="200") == 1


def test_models_returns_the_facts_of_the_bundle(client: TestClient) -> None:
    answer = ModelsResponse.model_validate_json(client.get("/models").content)
    (model,) = answer.models
    assert answer.default == model.name == "tiny"
    assert model.classes == ["red", "green", "blue"]
    assert model.scores == ["brightness", "darkness"]
    assert model.precision == "float32"
    assert model.calibration_images == 250
    assert model.providers == ["CPUExecutionProvider"]
    assert model.training.method == "aloe"
    assert model.training.epsilon == 2 / 255


def test_models_returns_the_calibration_record_in_full_detail(
    make_client: MakeClient, tmp_path: Path
) -> None:
    made = write_tiny(tmp_path / "source")
    record = CalibrationRecord(
        source="recent",
        images=90,
        groups=30,
        skipped={".txt": 1},
        created=datetime(2026, 5, 1, tzinfo=UTC),
        by="Ada",
        command="oodguard calibrate",
        replaced="0" * 64,
        replaced_version="1",
        evaluated_version="1",
    )
    attack = AttackRecord(method="APGD, 20 steps", images=9, duration_s=1)
    description = Description.model_validate(
        {
            **made.manifest.model_dump(exclude={"files"}),
            "schema_version": ROWS_VERSION,
            "calibration": record,
            "calibration_attack": attack,
        }
    )
    folder = tmp_path / "calibrated"
    write_bundle(
        folder,
        description=description,
        model=made.model,
        calibration=replace(made.rows, attacked={2: made.rows.scores["brightness"]}),
        evaluation=made.evaluation,
        card=made.card,
    )
    content = make_client(bundle=folder).get("/models").content
    (model,) = ModelsResponse.model_validate_json(content).models
    assert (model.calibration, model.calibration_attack) == (record, attack)
    coarse = make_client(bundle=folder, detail="verdict").get("/models").json()["models"][0]
    assert (coarse["calibration"], coarse["calibration_attack"]) == (None, None)


@pytest.mark.parametrize("ranges", ["bytes=0-1", "bytes=5-1", "bytes=99999999-", "x"])
def test_docs_files_have_no_ranges(client: TestClient, ranges: str) -> None:
    response, expected = client.get("/docs", headers={"range": ranges}), client.get("/docs")
    assert (response.status_code, response.content) == (200, expected.content)
    assert response.headers["accept-ranges"] == "none"


def test_docs_page_loads_local_files_only(client: TestClient) -> None:
    page = client.get("/docs")
    assert "'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("docs/")
        assert client.get(f"/{path}").status_code == 200
    assert "openapi.json" in client.get("/docs/start.js").text


def test_openapi_answers_head_and_names_its_methods(client: TestClient) -> None:
    assert client.head("/openapi.json").status_code == 200
    response = client.post("/openapi.json")
    problem(response, 405, "method-not-allowed")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_openapi_describes_the_request_formats_and_problems_of_predict(client: TestClient) -> None:
    response = client.get("/openapi.json")
    description = response.json()
    predict = description["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
        "image/jpeg",
        "image/png",
        "image/webp",
        "application/octet-stream",
    }
    assert set(predict["responses"]) == {
        "200",
        "400",
        "408",
        "413",
        "415",
        "422",
        "429",
        "503",
        "504",
    }
    # Every reference resolves.
    schemas = description["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", response.text):
        assert name in schemas


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


def test_openapi_names_the_path_prefix_as_its_server(make_client: MakeClient) -> None:
    client = make_client(root_path="/guard/v1")
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/guard/v1"}]
    assert "servers" not in make_client().get("/openapi.json").json()


def test_openapi_without_keys_has_no_security(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    assert "securitySchemes" not in description["components"]
    assert "security" not in description["paths"]["/predict"]["post"]
