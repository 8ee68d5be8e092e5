"""Fuzz one target in this process; libFuzzer ends the process, with 0 if no input failed.

`python -m tests.abuse.fuzz` starts this module with the target's name and libFuzzer's arguments.
"""

import sys

import atheris

# Modules that are imported here are instrumented: the fuzzer keeps inputs that reach new lines.
with atheris.instrument_imports(include=["oodguard", "python_multipart", "PIL"]):
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
