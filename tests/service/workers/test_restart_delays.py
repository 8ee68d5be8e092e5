"""The time until a worker that has ended is replaced."""

from oodguard.service.workers.restart_delays import RestartDelays


def test_restart_delays_double_in_a_crash_loop_and_end_with_a_stable_worker() -> None:
    delays = RestartDelays()
    assert [delays.after(0, served_s=0.5) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert delays.after(1, served_s=0.5) == 0
    assert [delays.after(0, served_s=each) for each in (10, 9, 9, 60)] == [0, 1, 2, 0]
