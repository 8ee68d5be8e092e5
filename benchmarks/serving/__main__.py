"""Measure serving beside the runtime alone and beside other servers.

    python -m benchmarks.serving [names...] [--rounds 5]

Everything runs on the same processors: our service, the peers, the bare loops and the load. What
is compared is measured in one round, and a figure is the median over the rounds. Peers get a
virtual environment each on first use. Writes a table, a plot and the raw rounds.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import machine, plot, report, results
from benchmarks.serving.light import write_light_bundle
from benchmarks.serving.results import LIGHT, SHIPPED, Measured, Results
from benchmarks.serving.rows.table import ROWS
from benchmarks.serving.service import ROOT
from benchmarks.serving.setting import NotAvailable, Setting

PROCESSORS = 2
BUNDLE = ROOT / "models" / "pretrained" / "cifar10-aloe"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the files."""
    options = _parser().parse_args(arguments)
    # So that an ended run ends its servers: the blocks that started them are left in order.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    processors = machine.pin(PROCESSORS)
    facts = machine.facts(processors)
    with tempfile.TemporaryDirectory(prefix="oodguard-benchmark-") as scratch:
        measured = [
            measure(name, graph, setting)
            for graph, setting in _settings(options, processors, Path(scratch)).items()
            for name in options.names or ROWS
            if graph == SHIPPED or ROWS[name].light
        ]
    _write(Results(machine=facts, measured=measured), options.out)


def measure(name: str, graph: str, setting: Setting) -> Measured:
    """Measure one row on one bundle, or say why that cannot be done here."""
    setting.say(f"{name}, {graph}")
    began = time.monotonic()
    try:
        rounds = ROWS[name].measure(setting)
    except NotAvailable as error:
        setting.say(f"{name}, {graph}: not available: {error}")
        return Measured(row=name, graph=graph, missing=str(error))
    setting.say(f"{name}, {graph}: {time.monotonic() - began:.0f} s")
    return Measured(row=name, graph=graph, rounds=rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("names", nargs="*", metavar="name", choices=[*ROWS, []], help=", ".join(ROWS))
    add("--graph", choices=[SHIPPED, LIGHT], help="one of the two bundles only")
    add("--bundle", type=Path, default=BUNDLE, help="the shipped bundle")
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=3, help="length of one measurement of a rate")
    add("--overload-s", type=float, default=30.0, help="length of one overload")
    add("--requests", type=int, default=10_000, help="of the rows that count failures")
    add("--out", type=Path, default=ROOT / "runs" / "serving", help="folder of the files")
    add("--environments", type=Path, default=ROOT / ".venv-peers", help="folder of the peers'")
    return parser


def _settings(options: argparse.Namespace, processors: int, scratch: Path) -> dict[str, Setting]:
    light = scratch / "light"
    write_light_bundle(light)
    bundles = {SHIPPED: options.bundle.resolve(), LIGHT: light}
    settings = {}
    for graph, bundle in bundles.items():
        if options.graph in {None, graph}:
            own = scratch / f"{graph}-files"
            own.mkdir()
            settings[graph] = Setting(
                bundle=bundle,
                threads=processors,
                rounds=options.rounds,
                seconds=options.seconds,
                overload_s=options.overload_s,
                requests=options.requests,
                scratch=own,
                environments=options.environments,
                say=_say,
            )
    return settings


def _write(measured: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    results.write(measured, folder / "rounds.json")
    text = report.markdown(measured)
    (folder / "table.md").write_text(text, encoding="utf-8")
    drawn = plot.svg_of(measured)
    if drawn is not None:
        (folder / "plot.svg").write_text(drawn, encoding="utf-8")
    print(text)
    _say(f"written to {folder}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
