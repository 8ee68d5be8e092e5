"""Measure serving, compared with the bare runtime and with other servers.

    python -m benchmarks.serving [names...] [--rounds 5]

The service, the peers, the bare loops and the load all run on the same CPUs. Compared values are
measured in the same round, and a figure is the median over the rounds. Each peer gets a virtual
environment on first use. Writes a table, a plot and the raw rounds after each row; --resume
continues an interrupted run.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.serving import machine, plot, report
from benchmarks.serving.bundles import write_light_bundle
from benchmarks.serving.config import Config, NotAvailable
from benchmarks.serving.report import LIGHT, SHIPPED, Measured, Results
from benchmarks.serving.rows import ROWS
from benchmarks.serving.service import ROOT

CPUS = 2
ROUNDS = "rounds.json"
BUNDLE = ROOT / "models" / "pretrained" / "cifar10-aloe"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the files."""
    options = _parser().parse_args(arguments)
    # SIGTERM unwinds the context managers, which stop the servers.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    cpus = machine.pin(CPUS)
    results = Results(machine=_facts(options, cpus), measured=[])
    if options.resume:
        results = resume(results, options.out / ROUNDS)
    with tempfile.TemporaryDirectory(prefix="oodguard-benchmark-") as scratch:
        for graph, config in _configs(options, cpus, Path(scratch)).items():
            for name in options.names or ROWS:
                if results.of(name, graph) is None and (graph == SHIPPED or ROWS[name].light):
                    one = measure(name, graph, config)
                    results = replace(results, measured=[*results.measured, one])
                    _write(results, options.out)
    print(report.markdown(results))
    _log(f"written to {options.out}")


def resume(new: Results, file: Path) -> Results:
    """Return the rows of an interrupted run that were measured.

    Raises:
        SystemExit: Another machine, commit, bundle or length was measured.
    """
    if not file.exists():
        return new
    old = report.read(file)
    for name, value in new.machine.items():
        if name != machine.LOAD_BEFORE and old.machine.get(name) != value:
            raise SystemExit(
                f"{file} was measured with {name} {old.machine.get(name)}, expected {value}:"
                " run without --resume, or with the same options on the same commit"
            )
    return replace(old, measured=[one for one in old.measured if not one.missing])


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
    add("--bundle", type=Path, default=BUNDLE, help="the bundle to measure")
    add("--workers", type=int, default=CPUS, help="number of worker processes of the service")
    add("--baseline", type=Path, help="a checkout of an earlier commit, for the row single")
    add("--baseline-bundle", type=Path, default=BUNDLE, help="the bundle that the checkout serves")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=3, help="length of one measurement of a rate")
    add("--overload-s", type=float, default=30.0, help="length of one overload")
    add("--requests", type=int, default=10_000, help="number of requests of rows that count")
    add("--out", type=Path, default=ROOT / "runs" / "serving", help="output folder")
    add(
        "--environments",
        type=Path,
        default=ROOT / ".venv-peers",
        help="folder of the environments of the peers",
    )
    add("--resume", action="store_true", help="keep the rows in the output folder")
    return parser


def _facts(options: argparse.Namespace, cpus: int) -> dict[str, str]:
    baseline = options.baseline
    return {
        machine.BUNDLE: options.bundle.resolve().name,
        "workers": str(options.workers),
        "rounds": f"{options.rounds} of {options.seconds} s, overload {options.overload_s:g} s,"
        f" {options.requests} requests",
        **({"baseline": machine.commit(baseline)} if baseline else {}),
        **machine.facts(cpus),
    }


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
                workers=options.workers,
                baseline=options.baseline.resolve() if options.baseline else None,
                baseline_bundle=options.baseline_bundle.resolve() if graph == SHIPPED else None,
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
    report.write(results, folder / ROUNDS)
    (folder / "table.md").write_text(report.markdown(results), encoding="utf-8")
    drawn = plot.svg_of(results)
    if drawn is not None:
        (folder / "plot.svg").write_text(drawn, encoding="utf-8")


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
