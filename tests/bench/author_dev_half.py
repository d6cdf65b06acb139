"""Write the development half of the labelled incidents: `python -m tests.bench.author_dev_half [--check]`.

Every case comes out of `tests.bench.dev_authoring`; the same drafts give the same bytes. With --check nothing is
written, and a difference is an error.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.dev_authoring import (
    answers,
    around,
    busy,
    checks,
    dead,
    further,
    handled,
    loops,
    outside,
    quiet,
    running,
    starts,
)
from tests.bench.dev_authoring.pieces import Json

HERE = Path(__file__).parent / "cases" / "dev"
FILES: Mapping[str, Sequence[Json]] = {
    **running.FILES,
    **answers.FILES,
    **loops.FILES,
    **starts.FILES,
    **dead.FILES,
    **quiet.FILES,
    **checks.FILES,
    **around.FILES,
    **busy.FILES,
    **outside.FILES,
    **handled.FILES,
    **further.FILES,
}
"""Cases by the name of their file, which begins with the row of FAULTS.md."""


def rendered(cases: Sequence[Json]) -> str:
    """Cases as JSON Lines."""
    return "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)


def differing() -> list[str]:
    """Files that are not what the drafts give, and files that no draft gives."""
    there = {path.name for path in HERE.glob("*.jsonl")}
    stale = [name for name, cases in FILES.items() if name not in there or (HERE / name).read_text() != rendered(cases)]
    return sorted({*stale, *(there - set(FILES))})


def write() -> None:
    """Write every file."""
    HERE.mkdir(parents=True, exist_ok=True)
    for name, cases in FILES.items():
        (HERE / name).write_text(rendered(cases), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Write or compare."""
    if "--check" not in arguments:
        write()
        return 0
    different = differing()
    for name in different:
        print(f"{HERE / name}: is not what its drafts give; run python -m tests.bench.author_dev_half", file=sys.stderr)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
