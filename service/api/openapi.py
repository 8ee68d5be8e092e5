"""Complete FastAPI's OpenAPI schema: API keys and the responses to denied requests."""

from collections.abc import Callable, Mapping
from typing import Any

from oodguard.service.api.problems import JSON, PROBLEM_JSON, is_open_inference

OpenApiSchema = dict[str, Any]

_DENIED_STATUSES = ("401", "403", "429")


def with_keys(describe: Callable[[], OpenApiSchema]) -> Callable[[], OpenApiSchema]:
    """Add the responses to denied requests to every operation that requires an API key.

    FastAPI itself describes the bearer scheme and the roles, from the routes' declarations.
    """

    def described() -> OpenApiSchema:
        schema = describe()
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if "security" in operation:
                    _add_denials(operation, path)
        return schema

    return described


def without_keys(describe: Callable[[], OpenApiSchema]) -> Callable[[], OpenApiSchema]:
    """Remove the bearer scheme and the roles, for a service without API keys."""

    def described() -> OpenApiSchema:
        schema = describe()
        schema["components"].pop("securitySchemes", None)
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)
        return schema

    return described


def _add_denials(operation: OpenApiSchema, path: str) -> None:
    media_type, name = (JSON, "OipError") if is_open_inference(path) else (PROBLEM_JSON, "Problem")
    schema: Mapping[str, Any] = {"$ref": f"#/components/schemas/{name}"}
    for status in _DENIED_STATUSES:
        operation["responses"].setdefault(
            status, {"description": "Problem", "content": {media_type: {"schema": schema}}}
        )
