"""The tuned garbage collector runs rarely, and still frees reference cycles."""

import subprocess
import sys

SCRIPT = """
import gc, weakref
from oodguard.service.server.garbage_collector import (
    ALLOCATIONS_BETWEEN_COLLECTIONS,
    tune_garbage_collector,
)

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)

collections = []
tune_garbage_collector()
gc.callbacks.append(lambda phase, info: collections.append(info["generation"]))
reference = cycle()
some = [[] for _ in range(ALLOCATIONS_BETWEEN_COLLECTIONS // 2)]
print(len(collections), reference() is None)
many = [[] for _ in range(ALLOCATIONS_BETWEEN_COLLECTIONS)]
print(len(collections) > 0, reference() is None)
"""


def test_garbage_collector_runs_only_after_many_allocations() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["0 False", "True True"]
