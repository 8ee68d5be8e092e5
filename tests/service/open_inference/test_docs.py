"""The page on the protocol says what is so."""

import re

from starlette.testclient import TestClient

from oodguard.service.open_inference.request import LONGEST_ID, MOST_MARKS
from tests.service.checks import DOCS
from tests.service.open_inference.speaking import ALL

PAGE = (DOCS / "open-inference-protocol.md").read_text(encoding="utf-8")


def test_the_table_of_outputs_is_that_of_the_metadata(client: TestClient) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z0-9]+) \| `\[n(?:, ([KS]))?\]` \|", PAGE, re.MULTILINE)
    assert tuple(row[0] for row in rows) == ALL
    free = {"": [], "K": [3], "S": [2]}
    listed = client.get("/v2/models/tiny").json()["outputs"]
    assert listed == [
        {"name": name, "datatype": datatype, "shape": [-1, *free[side]]}
        for name, datatype, side in rows
    ]


def test_every_route_is_there_and_every_one_there_is_documented(client: TestClient) -> None:
    documented = set(re.findall(r"^\| `(?:GET|POST) (/v2\S*)` \|", PAGE, re.MULTILINE))
    paths = client.get("/openapi.json").json()["paths"]
    named = {path.replace("/versions/{version}", "") for path in paths if path.startswith("/v2")}
    assert documented == named


def test_the_limits_are_the_documented_ones() -> None:
    assert f"more than {MOST_MARKS:,} numbers and lists" in PAGE
    assert f"at most {LONGEST_ID} characters" in PAGE
