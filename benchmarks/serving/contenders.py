"""Servers that are compared: all started, all paused but the one that is measured."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.serving.graph import BUNDLE, PORT, THREADS
from benchmarks.serving.peers.environments import python_of
from benchmarks.serving.peers.registry import PEERS
from benchmarks.serving.ports import free_port
from benchmarks.serving.processes import ServerProcess, wait_until
from benchmarks.serving.requests import Request, encoded
from benchmarks.serving.service import ROOT, served
from benchmarks.serving.setting import Setting

OURS = "ours"
READY_WITHIN_S = 90.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A server that is ready, and what it is asked."""

    port: int
    process: ServerProcess
    request: Request


@contextmanager
def started(setting: Setting, png: bytes) -> Iterator[dict[str, Contender]]:
    """Start ours and every peer on the same bundle, each paused; stop them at the end.

    Raises:
        RuntimeError: One did not become ready.
    """
    with ExitStack() as stack:
        contenders = {}
        for name in (OURS, *PEERS):
            setting.say(f"starting {name}")
            begun = _ours(setting, png) if name == OURS else _peer(setting, name, png)
            contender = stack.enter_context(begun)
            contender.process.pause()
            contenders[name] = contender
        yield contenders


@contextmanager
def awake(contender: Contender) -> Iterator[Contender]:
    """Let one server run during the block."""
    contender.process.resume()
    try:
        yield contender
    finally:
        contender.process.pause()


@contextmanager
def _ours(setting: Setting, png: bytes) -> Iterator[Contender]:
    with served(setting) as service:
        yield Contender(port=service.port, process=service.process, request=encoded(png))


@contextmanager
def _peer(setting: Setting, name: str, png: bytes) -> Iterator[Contender]:
    peer, port = PEERS[name], free_port()
    python = str(python_of(name, setting.environments)) if peer.own_environment else sys.executable
    folder = setting.scratch / f"{name}-{port}"
    folder.mkdir()
    environment = {
        "PYTHONPATH": str(ROOT),
        BUNDLE: str(setting.bundle),
        THREADS: str(setting.threads),
        PORT: str(port),
        **peer.environment(port, folder),
    }
    command = [python, *peer.arguments(port)]
    log = folder / "output.log"
    with ServerProcess(command, environment=environment, log=log, folder=folder) as process:
        contender = Contender(port=port, process=process, request=peer.ask(png))
        wait_until(lambda: _answers(contender), process, timeout_s=READY_WITHIN_S)
        yield contender


def _answers(contender: Contender) -> bool:
    """Whether it answers its request with 200."""
    asked = contender.request
    url = f"http://127.0.0.1:{contender.port}{asked.path}"
    headers = {"Content-Type": asked.content_type}
    question = urllib.request.Request(url, asked.body, headers)
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
