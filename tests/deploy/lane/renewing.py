"""A bundle renewed under a running guard, as an operator does it."""

import json
import shutil

from tests.deploy.lane import asking
from tests.deploy.lane.stack import Stack
from tests.deploy.lane.waiting import wait_for

BUNDLE = "cifar10-aloe"


def renew(stack: Stack, *, version: str) -> None:
    """Put the bundle's next version in its place, have it served, and see it scraped."""
    served, arriving = stack.bundles / BUNDLE, stack.bundles / f".{BUNDLE}"
    shutil.copytree(served, arriving)
    manifest = arriving / "manifest.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**told, "version": version}), encoding="utf-8")
    shutil.rmtree(served)
    arriving.rename(served)
    tell(stack)
    wait_for(
        lambda: asking.now(stack, f'oodguard_bundle_info{{version="{version}"}}') == [1.0],
        f"version {version} to be served",
        within_s=30,
    )


def tell(stack: Stack) -> None:
    """Have the bundles looked at again, by what docs/deploy.md says."""
    stack.compose("exec", "--no-TTY", "guard", "sh", "-c", "kill -HUP 1")
