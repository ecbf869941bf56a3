"""One search by atheris, in a process of its own: `python -m tests.fuzzing.search <target> <options>`.

Ends with 77 at the first finding, whose bytes libFuzzer writes where `-artifact_prefix` says.
"""

from __future__ import annotations

import sys


def search(target: str, options: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["collector", "footfall", "processor", "query_api"]):
        from tests.fuzzing.targets import TARGETS
    check = TARGETS[target]

    def check_once(data: bytes) -> None:
        check(data)

    atheris.Setup([sys.argv[0], *options], check_once)
    atheris.Fuzz()


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2:])
