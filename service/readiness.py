"""The phase of the process: starting, ready or draining."""

from enum import StrEnum

from oodguard.service.errors import NotReady


class Phase(StrEnum):
    """The phases of a process, in order."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Readiness:
    """The current phase of the process. It never returns to an earlier phase."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    def warm(self) -> None:
        """Enter the ready phase after warm-up, unless draining has begun."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.READY

    def drain(self) -> None:
        """Enter the draining phase: requests are still answered, but `/readyz` returns 503."""
        self.phase = Phase.DRAINING

    def require_warm(self) -> None:
        """Check that the models are warmed up; requests that arrive while draining pass.

        Raises:
            NotReady: The process is starting.
        """
        if self.phase is Phase.STARTING:
            raise NotReady("the service is starting: retry later")

    def require_ready(self) -> None:
        """Check that the process accepts traffic.

        Raises:
            NotReady: The process is starting or draining.
        """
        if self.phase is not Phase.READY:
            raise NotReady(f"the service is {self.phase}: retry later, or use another replica")
