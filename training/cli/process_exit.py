"""The exit of a process that is connected with the others that torchrun started."""

import atexit
import os
import sys
from contextlib import suppress


def exit_if_connected(code: str | int | None) -> None:
    """End a connected process without the end of the interpreter, which could abort it.

    A thread of gloo frees the tensors of the last exchange at some time after it. Python ends a
    thread that needs the interpreter while that ends, which in C++ is an abort of the process:
    "terminate called without an active exception", and SIGABRT instead of the exit code. The
    threads run as long as something refers to the process group, so its destruction does not
    prevent that. No thread of Python has work left when a command has returned.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_initialized() or not isinstance(code, int):
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, broken or absent
            stream.flush()
    os._exit(code)
