"""Request a reset of the drift evidence in the state folder, for operators without an admin key.

`oodguard drift reset` writes a file next to a model's state file. The process that serves the model
takes it within a second; if none does, the next one takes it when it starts.
"""

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from oodguard.service.errors import DriftNotReset, DriftStateError
from oodguard.service.regular_file import write_new_file

logger = logging.getLogger("oodguard.drift")

CONTENT = b"Reset the drift evidence.\n"


class ResetRequest:
    """The request to reset the evidence of one state file.

    Args:
        state_file: The state file.
    """

    def __init__(self, state_file: Path) -> None:
        self._file = state_file.with_suffix(".reset")
        self._failing = False
        # The modification time of a request that was done and cannot be removed.
        self._done = 0

    def is_pending(self) -> bool:
        """Return whether a reset was requested and has not been done."""
        try:
            found = self._file.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_mtime_ns != self._done

    def write(self) -> None:
        """Request a reset.

        Raises:
            DriftStateError: The file cannot be written, or is not a regular file.
        """
        partial = self._file.with_name(self._file.name + ".new")
        try:
            if os.path.lexists(self._file) and not stat.S_ISREG(self._file.lstat().st_mode):
                raise DriftStateError(f"{self._file} is not a regular file: remove it")
            # An empty file could be created on a full disk, where no reset can be saved. A new
            # file also replaces a request that was done and could not be removed.
            write_new_file(partial, CONTENT, sync=True)
            partial.replace(self._file)
        except OSError as error:
            raise DriftStateError(f"{self._file} cannot be written: {error.strerror}") from error

    def take(self, reset: Callable[[], object]) -> None:
        """Reset the evidence if it was requested, and remove the request.

        A failed reset is tried again with the next call, and logged once.
        """
        if not self.is_pending():
            return
        failure = ""
        try:
            reset()
            self._done = self._file.lstat().st_mtime_ns
            self._file.unlink()
        except (DriftNotReset, OSError) as error:
            failure = str(error)
        if failure and not self._failing:
            logger.warning(
                "A requested drift reset failed.",
                extra={"fields": {"file": str(self._file), "error": failure}},
            )
        self._failing = bool(failure)
