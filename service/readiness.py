"""Whether the service wants traffic."""

from enum import StrEnum

from service.errors import NotReady


class Phase(StrEnum):
    """The life of a process, in order."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Readiness:
    """The phase this process is in; moves forward only."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    def warm(self) -> None:
        """The model has run: take traffic, unless draining has begun."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.READY

    def drain(self) -> None:
        """No new traffic is wanted; what was accepted is finished."""
        self.phase = Phase.DRAINING

    def require(self) -> None:
        """Refuse unless ready.

        Raises:
            NotReady: While starting or draining.
        """
        if self.phase is not Phase.READY:
            raise NotReady(f"the service is {self.phase}; ask again, or ask another replica")
