"""evaluation.json: figures to bytes and back, as JSON that every reader takes."""

import json
from collections.abc import Mapping
from typing import NoReturn

from oodguard.models.errors import BundleError


def encode(evaluation: Mapping[str, object]) -> bytes:
    """Serialise an evaluation.

    Raises:
        BundleError: something in it is no JSON, such as NaN.
    """
    try:
        return json.dumps(dict(evaluation), indent=2, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"the evaluation cannot be written as JSON: {error}") from error


def decode(content: bytes) -> dict[str, object]:
    """Read an evaluation back.

    Raises:
        BundleError: not a JSON object.
    """
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"evaluation.json is not JSON ({error}); export the bundle anew"
        ) from error
    if not isinstance(document, dict):
        raise BundleError(
            f"evaluation.json holds a {type(document).__name__}; wanted an object;"
            " export the bundle anew"
        )
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
