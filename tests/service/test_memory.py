"""The memory limit is read from control groups of both versions."""

from pathlib import Path

import pytest

from oodguard.service.memory import memory_limit, resident_bytes

UNLIMITED_V1 = str(2**63 - 4096)


def system(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    for path, text in {"proc/self/cgroup": cgroup, **limits}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": "1000000\n"}, 1_000_000),
        # A parent's limit holds as well.
        (
            "0::/a/b\n",
            {
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/memory.max": "1000000\n",
            },
            1_000_000,
        ),
        (
            "4:memory:/x\n3:cpu:/y\n",
            {
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
            },
            1_000_000,
        ),
        # In a container without a namespace for groups, the path is that of the machine.
        (
            "4:memory:/docker/0123\n0::/\n",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n"},
            1_000_000,
        ),
    ],
    ids=["v2", "v2 parent", "v1", "v1 container"],
)
def test_memory_limit_is_the_lowest_of_the_cgroups(
    tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int
) -> None:
    limit = memory_limit(system(tmp_path, cgroup, limits))
    assert limit is not None
    assert limit.bytes == expected
    assert "cgroup" in limit.source


@pytest.mark.parametrize("cgroup", ["0::/\n", "4:memory:/x\n"])
def test_memory_limit_is_that_of_the_machine_without_a_cgroup_limit(
    tmp_path: Path, cgroup: str
) -> None:
    limits = {
        "sys/fs/cgroup/memory.max": "max\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
    }
    limit = memory_limit(system(tmp_path, cgroup, limits))
    assert limit is not None
    assert limit.source == "the machine"
    assert limit.bytes > resident_bytes()
