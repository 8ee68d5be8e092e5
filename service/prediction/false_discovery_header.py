"""The request header X-FDR: the false-discovery rate of the decisions about a request's images."""

from collections.abc import Mapping
from typing import Any

from oodguard.models.errors import CalibrationError
from oodguard.models.false_discovery import parse_rate
from oodguard.service.errors import WrongFields
from oodguard.service.inference.model import LoadedModel
from oodguard.service.responses import Detail

HEADER = "X-FDR"

_NAME = HEADER.lower().encode()


def requested_rate(scope: Mapping[str, Any], model: LoadedModel, detail: Detail) -> float | None:
    """Return the false-discovery rate that a request requires, or None.

    Raises:
        WrongFields: The header is invalid, or no image could be rejected at its rate. With detail
            `verdict`, every rate is invalid: a client that tried several would learn p-values.
    """
    given = [value for name, value in scope["headers"] if name == _NAME]
    if not given:
        return None
    text = given[0].decode("latin-1")
    if len(given) > 1:
        raise WrongFields(f"{HEADER} is given {len(given)} times, expected once")
    if detail == "verdict":
        raise WrongFields(
            f'{HEADER} is "{text[:32]}", expected no {HEADER}: OODGUARD_DETAIL is verdict, and'
            " decisions at a rate of the client's choice reveal p-values"
        )
    n = model.guard.thresholds.n
    try:
        return parse_rate(HEADER, text, n)
    except CalibrationError as error:
        raise WrongFields(str(error)) from error
