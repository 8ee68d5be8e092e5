"""Errors where several processes train one network: all processes end, and one reports the error.

The module imports torch when it is used, because torch is slow.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oodguard.models.errors import GuardError, RecipeError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

GLOO_PREFIX = re.compile(r"^\[[^\]]*gloo[^\]]*\] ")
"""gloo raises a RuntimeError, which begins with the place in its source."""


class OtherProcessError(GuardError):
    """An error that process number `process` of the run reports."""

    def __init__(self, process: int, text: str) -> None:
        super().__init__(f"process {process} of the run ended with an error: {text}")
        self.process = process


@contextmanager
def fail_together(fabric: "Fabric") -> Iterator[None]:
    """Wait until all processes have left the block; if some of them fail in it, all of them do.

    The block must not exchange anything between the processes.

    Raises:
        GuardError: The error of this process, if it is the first that failed.
        OSError: As GuardError.
        OtherProcessError: Another process is the first that failed.
    """
    from torch.distributed import all_gather_object  # noqa: PLC0415

    own: GuardError | OSError | None = None
    try:
        yield
    except (GuardError, OSError) as error:
        if fabric.world_size == 1:
            raise
        own = error
    if fabric.world_size == 1:
        return
    texts: list[str | None] = [None] * fabric.world_size
    all_gather_object(texts, None if own is None else str(own))
    failed = next(((rank, text) for rank, text in enumerate(texts) if text is not None), None)
    if failed is None:
        return
    if own is not None and failed[0] == fabric.global_rank:
        raise own
    raise OtherProcessError(*failed)


def check_same_data(fabric: "Fabric", sha256: str) -> None:
    """Check that all processes have read the same data and the same teacher.

    `sha256` is the hash of both.

    Raises:
        RecipeError: This process is the first that has read other data than process 0.
        OtherProcessError: Another process is the first that has.
    """
    from torch.distributed import all_gather_object  # noqa: PLC0415

    if fabric.world_size == 1:
        return
    found = [""] * fabric.world_size
    all_gather_object(found, sha256)
    with fail_together(fabric):
        if sha256 != found[0]:
            raise RecipeError(
                f"the images, labels and teacher that process {fabric.global_rank} reads on"
                f" {socket.gethostname()} have the sha256 {sha256[:12]}, expected {found[0][:12]},"
                " that of process 0: copy the files to all machines again, or share them"
            )


def lost_process_cause(error: BaseException) -> str | None:
    """Return how an exchange between processes failed, or None if the error is another one.

    It fails in all other processes if one has ended, or does not answer within torch's timeout.
    """
    from torch.distributed import DistError  # noqa: PLC0415

    if not isinstance(error, RuntimeError):
        return None
    text = str(error).strip().partition("\n")[0]
    if GLOO_PREFIX.match(text):
        return GLOO_PREFIX.sub("", text).partition(". ")[0]
    return text.partition(". ")[0] if isinstance(error, DistError) else None
