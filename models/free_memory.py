"""Return memory that the C library keeps after it was freed."""

import ctypes


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None


_LIBC = _glibc()


def return_free_memory() -> None:
    """Return freed memory to the system: glibc keeps up to 64 MiB for each thread.

    It also keeps that of large tensors. Other C libraries have no such call.
    """
    if _LIBC is not None:
        _LIBC.malloc_trim(0)
