"""Property tests: generated requests get responses that the OpenAPI description allows."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.python import asgi

from oodguard.service.app import create_app
from oodguard.service.settings import Settings

pytestmark = pytest.mark.slow

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]

EXAMPLES = 40
# Any other name gets a 404 only.
SERVED = {"name": "tiny", "version": "1"}
SUCCESSFUL = {
    *("/predict", "/models/{name}/predict", "/models/{name}/versions/{version}/predict"),
    *("/models", "/healthz", "/readyz", "/metrics"),
}
CONFIG = {
    "checks": {
        # X-Timeout-Ms may be one millisecond.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", 504]},
        # A schema cannot state that bytes are an accepted image or that X-Shape fits them.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 415, 422, 504]},
    },
}


@pytest.fixture
def operations(tiny_bundle: Path) -> Iterator[list[Operation]]:
    app = create_app(Settings(bundle=tiny_bundle))
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    found = list(schema.get_all_operations())
    valid = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(valid) == len(found), "the description of an operation is invalid"
    yield valid
    asgi.shutdown_lifespans()


def run(operation: Operation, mode: GenerationMode) -> Counter[int]:
    """Generate requests of an operation, and apply all of schemathesis's checks to the responses.

    Among the checks: no server error; the description has the status, content type, headers and
    body of the response; a request that the description forbids is not successful.

    Returns:
        The number of responses by status.
    """
    statuses: Counter[int] = Counter()

    # A failing request is reported without shrinking, which would take minutes.
    @settings(
        max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: SERVED[name] for name in case.path_parameters}
        response = case.call_and_validate()
        statuses[response.status_code] += 1
        # The schema of multipart bodies states all requirements on their fields. The smallest X-FDR
        # depends on the bundle.
        if mode is GenerationMode.POSITIVE and case.media_type == "multipart/form-data":
            assert response.status_code != 422 or "X-FDR is 0.00" in response.text, response.text

    check()
    return statuses


def test_openapi_description_holds_for_allowed_requests(operations: list[Operation]) -> None:
    statuses = {operation.path: run(operation, GenerationMode.POSITIVE) for operation in operations}
    for path in SUCCESSFUL:
        assert statuses[path][200], f"no generated request to {path} was successful"


def test_openapi_description_holds_for_forbidden_requests(operations: list[Operation]) -> None:
    # The other operations have no input that could be invalid.
    posts = [operation for operation in operations if operation.method == "post"]
    assert posts
    for operation in posts:
        statuses = run(operation, GenerationMode.NEGATIVE)
        assert set(statuses) <= {400, 404, 415, 422, 504}, operation.label
