"""Circles are looked for seldom, and found all the same."""

import subprocess
import sys

SCRIPT = """
import gc, weakref
from oodguard.service.server.process import OBJECTS, tune_garbage_collector

class Link:
    pass

def circle():
    link = Link()
    link.itself = link
    return weakref.ref(link)

looked = []
tune_garbage_collector()
gc.callbacks.append(lambda phase, info: looked.append(info["generation"]))
goes = circle()
some = [[] for _ in range(OBJECTS // 2)]
print(len(looked), goes() is None)
many = [[] for _ in range(OBJECTS)]
print(len(looked) > 0, goes() is None)
"""


def test_a_circle_stays_until_there_are_many_objects() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["0 False", "True True"]
