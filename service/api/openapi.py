"""Complete FastAPI's OpenAPI schema: API keys and the responses to denied requests."""

from collections.abc import Callable, Mapping
from typing import Any

from oodguard.service.api.problems import JSON, PROBLEM_JSON, is_open_inference

OpenApiSchema = dict[str, Any]

_DENIED_STATUSES = ("401", "403", "429")


def completed(describe: Callable[[], OpenApiSchema], *, keys: bool) -> Callable[[], OpenApiSchema]:
    """Complete the bearer scheme and the roles, which FastAPI takes from the routes' declarations.

    Args:
        describe: Returns FastAPI's schema.
        keys: True: add the responses to denied requests to every operation that requires a key;
            False: remove the scheme and the roles, because the service has no keys.
    """

    def described() -> OpenApiSchema:
        schema = describe()
        if not keys:
            schema["components"].pop("securitySchemes", None)
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                if keys and "security" in operation:
                    _add_denials(operation, path)
                elif not keys:
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
