"""The process that forks the workers."""

import threading

import pytest

from oodguard.service.workers.zygote import WorkerStartError, start_zygote


def test_zygote_is_not_forked_from_a_process_with_threads() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(WorkerStartError, match=r"expected 1: .* OODGUARD_WORKERS to 1"):
            start_zygote(lambda *_: 0)
    finally:
        stop.set()
        thread.join()
