"""Measure serving, compared with the bare runtime and with other servers.

    python -m benchmarks.serving [names...] [--rounds 5]

The service, the peers, the bare loops and the load all run on the same CPUs. Compared values are
measured in the same round, and a figure is the median over the rounds. Each peer gets a virtual
environment on first use. Writes a table, a plot and the raw rounds.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import machine, plot, report
from benchmarks.serving.bundles import write_light_bundle
from benchmarks.serving.config import Config, NotAvailable
from benchmarks.serving.report import LIGHT, SHIPPED, Measured, Results
from benchmarks.serving.rows import ROWS
from benchmarks.serving.service import ROOT

CPUS = 2
BUNDLE = ROOT / "models" / "pretrained" / "cifar10-aloe"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the files."""
    options = _parser().parse_args(arguments)
    # SIGTERM unwinds the context managers, which stop the servers.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    cpus = machine.pin(CPUS)
    facts = machine.facts(cpus)
    with tempfile.TemporaryDirectory(prefix="oodguard-benchmark-") as scratch:
        measured = [
            measure(name, graph, config)
            for graph, config in _configs(options, cpus, Path(scratch)).items()
            for name in options.names or ROWS
            if graph == SHIPPED or ROWS[name].light
        ]
    _write(Results(machine=facts, measured=measured), options.out)


def measure(name: str, graph: str, config: Config) -> Measured:
    """Measure one row on one bundle; if it is not available here, record the reason."""
    config.log(f"{name}, {graph}")
    start = time.monotonic()
    try:
        rounds = ROWS[name].measure(config)
    except NotAvailable as error:
        config.log(f"{name}, {graph}: not available: {error}")
        return Measured(row=name, graph=graph, missing=str(error))
    config.log(f"{name}, {graph}: {time.monotonic() - start:.0f} s")
    return Measured(row=name, graph=graph, rounds=rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("names", nargs="*", metavar="name", choices=[*ROWS, []], help=", ".join(ROWS))
    add("--graph", choices=[SHIPPED, LIGHT], help="measure one of the two bundles only")
    add("--bundle", type=Path, default=BUNDLE, help="the shipped bundle")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=3, help="length of one measurement of a rate")
    add("--overload-s", type=float, default=30.0, help="length of one overload")
    add("--requests", type=int, default=10_000, help="number of requests of rows that count")
    add("--out", type=Path, default=ROOT / "runs" / "serving", help="output folder")
    add("--environments", type=Path, default=ROOT / ".venv-peers", help="folder of the peers'")
    return parser


def _configs(options: argparse.Namespace, cpus: int, scratch: Path) -> dict[str, Config]:
    light = scratch / "light"
    write_light_bundle(light)
    bundles = {SHIPPED: options.bundle.resolve(), LIGHT: light}
    configs = {}
    for graph, bundle in bundles.items():
        if options.graph in {None, graph}:
            folder = scratch / f"{graph}-files"
            folder.mkdir()
            configs[graph] = Config(
                bundle=bundle,
                threads=cpus,
                rounds=options.rounds,
                seconds=options.seconds,
                overload_s=options.overload_s,
                requests=options.requests,
                scratch=folder,
                environments=options.environments,
                log=_log,
            )
    return configs


def _write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    report.write(results, folder / "rounds.json")
    text = report.markdown(results)
    (folder / "table.md").write_text(text, encoding="utf-8")
    drawn = plot.svg_of(results)
    if drawn is not None:
        (folder / "plot.svg").write_text(drawn, encoding="utf-8")
    print(text)
    _log(f"written to {folder}")


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
