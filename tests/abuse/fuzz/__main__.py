"""Fuzz each decode and parse function: `python -m tests.abuse.fuzz --seconds 60`."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.abuse.fuzz.seeds import MAX_BYTES, seeds
from tests.abuse.fuzz.targets import TARGETS

# An input that takes more time or memory is a failure as well.
TIMEOUT_S = 10
MAX_MIB = 1024
GRACE_S = 120
FAILURES = Path(tempfile.gettempdir()) / "oodguard-fuzz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the given targets one after another; return the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"any of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", type=Path, default=FAILURES, help="folder of the failing inputs")
    chosen = parser.parse_args(arguments)
    names = chosen.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        expected = ", ".join(TARGETS)
        parser.error(f"unknown target {', '.join(sorted(unknown))}, expected any of {expected}")
    chosen.keep.mkdir(parents=True, exist_ok=True)
    inputs = seeds()
    failed = [name for name in names if not _fuzz(name, inputs[name], chosen.seconds, chosen.keep)]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}; the inputs are in {chosen.keep}\n")
    return len(failed)


def _fuzz(name: str, inputs: Sequence[bytes], seconds: int, keep: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(inputs):
            (Path(folder) / f"{number:05}").write_bytes(data)
        limits = [
            f"-max_total_time={seconds}",
            f"-timeout={TIMEOUT_S}",
            f"-rss_limit_mb={MAX_MIB}",
            f"-max_len={MAX_BYTES}",
            f"-artifact_prefix={keep}/{name}-",
            "-print_final_stats=1",
        ]
        child = [sys.executable, "-m", "tests.abuse.fuzz.child", name, *limits, folder]
        return subprocess.run(child, check=False, timeout=seconds + GRACE_S).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
