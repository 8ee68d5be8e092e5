"""Whether the service wants traffic."""

from enum import StrEnum

from oodguard.service.errors import NotReady


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

    def require_warm(self) -> None:
        """Refuse until the model has run; while draining, what still comes is answered.

        Raises:
            NotReady: While starting.
        """
        if self.phase is Phase.STARTING:
            raise NotReady("the service is starting; ask again")

    def require_ready(self) -> None:
        """Refuse unless traffic is wanted.

        Raises:
            NotReady: While starting or draining.
        """
        if self.phase is not Phase.READY:
            raise NotReady(f"the service is {self.phase}; ask again, or ask another replica")
