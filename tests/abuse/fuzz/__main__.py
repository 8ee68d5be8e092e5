"""Fuzz the decode and parse paths for a while each: `python -m tests.abuse.fuzz --seconds 60`."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.abuse.fuzz.seeds import MOST_BYTES, seeds
from tests.abuse.fuzz.targets import TARGETS

# One input that takes longer, or more memory, is a failure as well.
TIMEOUT_S = 10
MOST_MIB = 1024
GRACE_S = 120
FAILURES = Path(tempfile.gettempdir()) / "oodguard-fuzz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the given targets one after another.

    Returns:
        How many of them failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", type=Path, default=FAILURES, help="where failing inputs go")
    chosen = parser.parse_args(arguments)
    names = chosen.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"{', '.join(sorted(unknown))} is no target")
    chosen.keep.mkdir(parents=True, exist_ok=True)
    given = seeds()
    failed = [name for name in names if not _fuzz(name, given[name], chosen.seconds, chosen.keep)]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}; the inputs are in {chosen.keep}\n")
    return len(failed)


def _fuzz(name: str, given: Sequence[bytes], seconds: int, keep: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(given):
            (Path(folder) / f"{number:05}").write_bytes(data)
        limits = [
            f"-max_total_time={seconds}",
            f"-timeout={TIMEOUT_S}",
            f"-rss_limit_mb={MOST_MIB}",
            f"-max_len={MOST_BYTES}",
            f"-artifact_prefix={keep}/{name}-",
            "-print_final_stats=1",
        ]
        child = [sys.executable, "-m", "tests.abuse.fuzz.child", name, *limits, folder]
        return subprocess.run(child, check=False, timeout=seconds + GRACE_S).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
