"""How the API's description tells of keys: one scheme, and the role that each operation wants."""

from collections.abc import Callable, Mapping
from typing import Any

from service.http.problems import MEDIA_TYPE
from service.oip import errors as oip
from service.security.paths import OPEN, role_wanted

Description = dict[str, Any]

SCHEME = "key"
REFUSALS = ("401", "403", "429")


def with_keys(describe: Callable[[], Description]) -> Callable[[], Description]:
    """Wrap what describes an app whose paths want keys."""

    def described() -> Description:
        description = describe()
        schemes = description["components"].setdefault("securitySchemes", {})
        if SCHEME not in schemes:
            schemes[SCHEME] = {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "oodguard_ID_SECRET",
                "description": "A key, as `oodguard keys new` makes it.",
            }
            for path, operations in description["paths"].items():
                if path not in OPEN:
                    for operation in operations.values():
                        _tell(operation, path)
        return description

    return described


def _tell(operation: Description, path: str) -> None:
    role = role_wanted(path)
    operation["security"] = [{SCHEME: [] if role is None else [role]}]
    spoken = oip.is_spoken(path)
    media_type, shape = (oip.JSON, "OipError") if spoken else (MEDIA_TYPE, "Problem")
    schema: Mapping[str, Any] = {"$ref": f"#/components/schemas/{shape}"}
    for status in REFUSALS:
        operation["responses"].setdefault(
            status, {"description": "A problem", "content": {media_type: {"schema": schema}}}
        )
