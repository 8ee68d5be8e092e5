"""The service does what its OpenAPI description says, whatever is drawn from it."""

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
# Any other name would be answered with 404 and nothing else.
SERVED = {"name": "tiny", "version": "1"}
JUDGING = {
    "/predict",
    "/models/{name}/predict",
    "/models/{name}/versions/{version}/predict",
}
ASKED = {"/models", "/healthz", "/readyz", "/metrics"}
CONFIG = {
    "checks": {
        # X-Timeout-Ms may be one millisecond.
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", 504]},
        # No schema says that bytes are an image of a taken kind, nor that X-Shape fits them.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 400, 415, 422, 504]},
    },
}


@pytest.fixture
def operations(tiny_bundle: Path) -> Iterator[list[Operation]]:
    app = create_app(Settings(bundle=tiny_bundle))
    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    found = list(schema.get_all_operations())
    described = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(described) == len(found), "the description of an operation is itself broken"
    yield described
    asgi.shutdown_lifespans()


def answer_many(operation: Operation, mode: GenerationMode) -> Counter[int]:
    """Draw requests of an operation, and hold every answer to all of schemathesis's checks.

    Among them: no failure of the server; the status, content type, headers and body of the answer
    are described; what the description forbids is not answered with success.

    Returns:
        How often each status came.
    """
    statuses: Counter[int] = Counter()

    # A request that fails is shown as it was drawn: shrinking it would run into the minutes.
    @settings(
        max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: SERVED[name] for name in case.path_parameters}
        response = case.call_and_validate()
        statuses[response.status_code] += 1
        # Of multipart bodies the schema says all that is asked of their fields.
        if mode is GenerationMode.POSITIVE and case.media_type == "multipart/form-data":
            assert response.status_code != 422, response.text

    answered()
    return statuses


def test_whatever_the_description_allows_is_answered_as_it_says(
    operations: list[Operation],
) -> None:
    came = {
        operation.path: answer_many(operation, GenerationMode.POSITIVE) for operation in operations
    }
    for path in JUDGING | ASKED:
        assert came[path][200], f"nothing that was drawn for {path} was answered with success"


def test_whatever_the_description_forbids_is_refused_as_it_says(
    operations: list[Operation],
) -> None:
    # The others take nothing that could be wrong.
    posts = [operation for operation in operations if operation.method == "post"]
    assert posts
    for operation in posts:
        statuses = answer_many(operation, GenerationMode.NEGATIVE)
        assert set(statuses) <= {400, 404, 415, 422, 504}, operation.label
