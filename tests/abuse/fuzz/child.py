"""Fuzzes one target until its time is over; libFuzzer ends the process, with 0 if nothing failed.

`python -m tests.abuse.fuzz` starts it, with the target's name and libFuzzer's own arguments.
"""

import sys

import atheris

# What is imported here is watched: the fuzzer keeps inputs that reach new lines of it.
with atheris.instrument_imports(include=["service", "models", "python_multipart", "PIL"]):
    from tests.abuse.fuzz.targets import TARGETS, run


def main() -> None:
    """Fuzz the target that the first argument names."""
    _, name, *arguments = sys.argv
    assert name in TARGETS

    def one_input(data: bytes) -> None:
        run(name, data)

    atheris.Setup([sys.argv[0], *arguments], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
