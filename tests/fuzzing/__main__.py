"""`python -m tests.fuzzing [target...]`: searches FUZZ_MINUTES (60); ends with 1 if it found something."""

from __future__ import annotations

import os
import sys

from tests.fuzzing.campaign import NO_ATHERIS, has_atheris, run_campaign
from tests.fuzzing.targets import TARGETS


def main() -> int:
    minutes = float(os.environ.get("FUZZ_MINUTES", "60"))
    targets = sys.argv[1:] or list(TARGETS)
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        print(f"no target {unknown[0]!r}: there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if not has_atheris():
        print(f"NOT RUN: {NO_ATHERIS}", file=sys.stderr)
        return 2
    reports = run_campaign(minutes * 60, targets)
    return 1 if any(report.findings for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
