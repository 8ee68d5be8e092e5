"""A worker process as the supervisor sees it."""

import asyncio
import math
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from oodguard.models.errors import GuardError
from oodguard.service.settings import Settings
from oodguard.service.workers.channel import Channel, Message

# For workers to drain the accept backlog and to send what they have counted. The margins of the
# compose file and of the Kubernetes manifests are larger.
END_MARGIN_S = 3.0


def longest_end_s(settings: Settings) -> float:
    """Return the longest time in which a worker finishes its requests and ends."""
    return settings.drain_s + math.ceil(settings.timeout_s) + END_MARGIN_S


@dataclass(eq=False)
class Worker:
    """A worker process.

    Attributes:
        number: Its number, from 0, which its replacement will have.
        channel: The channel to it.
        connected: Serves the channel.
        pid: Its process id, 0 until it is forked.
        fingerprint: Identifies the models that it serves; empty until it is ready.
        served: The names and versions of its models.
        serves_since: When it was allowed to accept connections, by the event loop's clock.
        leaves: Whether it ends, to be replaced.
        failure: Why it cannot start.
    """

    number: int
    channel: Channel
    connected: "asyncio.Task[None] | None" = None
    pid: int = 0
    fingerprint: list[Any] = field(default_factory=list)
    served: list[tuple[str, str]] = field(default_factory=list)
    serves_since: float | None = None
    leaves: bool = False
    failure: GuardError | ModuleNotFoundError | None = None

    def update(self, message: Message) -> None:
        """Note what it serves."""
        self.fingerprint = message.fields["fingerprint"]
        self.served = [(name, version) for name, version in message.fields["served"]]

    @property
    def serves(self) -> bool:
        """Whether it may accept connections."""
        return self.serves_since is not None

    @property
    def is_ready(self) -> bool:
        """Whether it has loaded its models, and stays."""
        return bool(self.fingerprint) and not self.leaves

    def replace(self) -> None:
        """Let it finish its requests and end, so that it is replaced."""
        self.leaves = True
        self.channel.notify("end", service=False)

    def end(self) -> None:
        """Let it finish its requests and end with the service.

        A worker that does not serve yet has no requests, and ends at once.
        """
        if self.serves:
            self.channel.notify("end", service=True)
        else:
            self.send_signal(signal.SIGKILL)

    def send_signal(self, sent: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sent)
