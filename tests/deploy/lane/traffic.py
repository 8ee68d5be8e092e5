"""Pictures for the guard: such as it knows, such as it does not, and attacked ones."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

from tests.deploy.lane.docker import ROOT
from tests.deploy.lane.stack import Stack

DATA = ROOT / "tests" / "data"
# Not class by class: what comes sorted is no longer what the calibration was, and drift says so.
KNOWN = sorted((DATA / "cifar10").glob("*/*.png"))
random.Random(0).shuffle(KNOWN)  # noqa: S311 - an order, no secret
UNKNOWN = sorted((DATA / "textures").glob("*.png")) + sorted((DATA / "hands").glob("*.png"))
ATTACKED = sorted((DATA / "attacked").glob("*/*.png"))
# One in eight is not as those of the calibration.
MIXED = [*KNOWN[:168], *UNKNOWN[:12], *ATTACKED[::2]]


def ask(stack: Stack, picture: Path) -> str:
    """Have one picture judged, and return the decision."""
    answer = httpx2.post(
        f"{stack.guard}/predict",
        content=picture.read_bytes(),
        headers={"content-type": "image/png"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    decision: str = answer.json()["predictions"][0]["decision"]
    return decision


def steadily(stack: Stack, pictures: list[Path], *, a_second: float, for_s: float) -> Iterator[str]:
    """Ask for at most `for_s`, `a_second` or fewer pictures a second; yield each decision."""
    end = time.monotonic() + for_s
    for picture in itertools.cycle(pictures):
        if time.monotonic() > end:
            return
        yield ask(stack, picture)
        time.sleep(1 / a_second)


def until(
    true: Callable[[], bool], stack: Stack, pictures: list[Path], *, within_s: float
) -> float | None:
    """Ask until it is true; return after how many seconds it was, none where it was not."""
    began = looked = time.monotonic()
    for _ in steadily(stack, pictures, a_second=10, for_s=within_s):
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            if true():
                return looked - began
    return None
