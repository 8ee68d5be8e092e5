"""Names of samples: by time, request and image, so that they sort by age.

Nothing in a name is a client's to choose but the request's id, which `service.http.request_ids` has
kept to 64 letters, digits, dots, lines and dashes.
"""

import re
from datetime import datetime

SUFFIXES = ("jpeg", "png", "webp", "json")
NAME = re.compile(
    rf"(\d{{8}}T\d{{6}}\.\d{{6}}Z-[A-Za-z0-9._-]{{1,64}}-\d{{1,9}})\.(?:{'|'.join(SUFFIXES)})",
    re.ASCII,
)


def moment(at: datetime) -> str:
    """How a name begins: a time in UTC, to the microsecond."""
    return f"{at:%Y%m%dT%H%M%S.%fZ}"


def stem(at: datetime, request_id: str, index: int) -> str:
    """What the files of one sample are called, without their suffix."""
    return f"{moment(at)}-{request_id}-{index}"


def stem_of(name: str) -> str | None:
    """The sample that a file is of; none where it is nothing that was ever written here."""
    match = NAME.fullmatch(name)
    return match[1] if match else None
