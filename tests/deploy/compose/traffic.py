"""Images for the guard: in-distribution, out-of-distribution and attacked ones."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx2

from tests.deploy.compose.docker import ROOT
from tests.deploy.compose.stack import Stack

DATA = ROOT / "tests" / "data"
# Shuffled: images in the order of their classes are not exchangeable, which the drift test reports.
KNOWN = sorted((DATA / "cifar10").glob("*/*.png"))
random.Random(0).shuffle(KNOWN)  # noqa: S311 - not used for security
UNKNOWN = sorted((DATA / "textures").glob("*.png")) + sorted((DATA / "hands").glob("*.png"))
ATTACKED = sorted((DATA / "attacked").glob("*/*.png"))
# One in eight images differs from the calibration images.
MIXED = [*KNOWN[:168], *UNKNOWN[:12], *ATTACKED[::2]]


def post(stack: Stack, image: Path, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """Send one image and return the response."""
    return httpx2.post(
        f"{stack.guard}/predict",
        content=image.read_bytes(),
        headers={"content-type": "image/png", **(headers or {})},
        timeout=30,
    )


def decide(stack: Stack, image: Path) -> str:
    """Send one image and return the decision."""
    response = post(stack, image)
    assert response.status_code == 200, response.text
    decision: str = response.json()["predictions"][0]["decision"]
    return decision


def send_steadily(
    stack: Stack, images: list[Path], *, per_second: float, for_s: float
) -> Iterator[str]:
    """Send at most `per_second` images per second for `for_s`; yield each decision."""
    end = time.monotonic() + for_s
    for image in itertools.cycle(images):
        if time.monotonic() > end:
            return
        yield decide(stack, image)
        time.sleep(1 / per_second)


def send_until(
    condition: Callable[[], bool], stack: Stack, images: list[Path], *, within_s: float
) -> float | None:
    """Send images until the condition is true; return the seconds, or None after `within_s`."""
    start = checked = time.monotonic()
    for _ in send_steadily(stack, images, per_second=10, for_s=within_s):
        if time.monotonic() - checked > 1:
            checked = time.monotonic()
            if condition():
                return checked - start
    return None
