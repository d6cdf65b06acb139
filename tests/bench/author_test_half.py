"""Writes the test half of the labelled incidents, or with --check tells whether the files are what it would write.

Run it from anywhere: `python tests/bench/author_test_half.py [--check]`. The output is the same on every run.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.authoring import around, contrast, healable, hostile, inside, people, release, resources
from tests.bench.authoring.assemble import assemble
from tests.bench.authoring.validate import faults_of_all

FOLDER = Path(__file__).resolve().parent / "cases" / "test"
FILES = {
    0: "00-no-row",
    1: "01-flag-file",
    2: "02-crash-loop",
    3: "03-bad-env",
    4: "04-bad-entrypoint",
    5: "05-port-taken",
    6: "06-hang",
    7: "07-out-of-memory-main",
    8: "08-out-of-memory-child",
    9: "09-slow-leak",
    10: "10-latency",
    11: "11-error-rate",
    12: "12-dependency-down",
    13: "13-disk-full",
    16: "16-paused",
    17: "17-stopped-by-a-person",
    18: "18-killed-from-outside",
    19: "19-network-detached",
    20: "20-not-answering",
    21: "21-check-broken",
    26: "26-hostile-log",
    28: "28-host-overload",
    29: "29-no-fault",
}
_PARTS = (inside, release, resources, people, around, hostile, healable, contrast)


def all_cases() -> list[dict[str, Any]]:
    """Every case of the test half, in the order it was written."""
    return [assemble(draft) for part in _PARTS for draft in part.DRAFTS]


def render(cases: list[dict[str, Any]]) -> dict[str, str]:
    """The text of each file by its name."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for case in cases:
        lines[FILES[case["fault"]] + ".jsonl"].append(json.dumps(case, ensure_ascii=False))
    return {name: "\n".join(rows) + "\n" for name, rows in sorted(lines.items())}


def differing(texts: dict[str, str]) -> list[str]:
    """Names of files that are not what they should be, missing and surplus ones included."""
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.jsonl")}
    return sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))


def write(texts: dict[str, str]) -> None:
    """Puts the files in place and takes away those that no case stands in any more."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.jsonl"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")


def counts(cases: list[dict[str, Any]]) -> str:
    """How many cases there are of what, for people."""
    ours = Counter("ours" if case["label"]["ours"] else "not ours" for case in cases)
    tallies = {
        "fault": Counter(FILES[case["fault"]] for case in cases),
        "ours": ours,
        "app": Counter(case["app"] for case in cases),
        "style": Counter(case["style"] for case in cases),
        "noise": Counter(word for case in cases for word in case["noise"]),
        "best cause": Counter(case["label"]["causes"][0] for case in cases),
        "first step": Counter("/".join(case["label"]["actions"]) for case in cases),
    }
    rows = (
        f"{name}: " + ", ".join(f"{key} {n}" for key, n in sorted(tally.items())) for name, tally in tallies.items()
    )
    return f"cases: {len(cases)}\n" + "\n".join(rows)


def main() -> int:
    """Writes or compares; 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what is there")
    parser.add_argument("--counts", action="store_true", help="tell how many cases there are of what")
    options = parser.parse_args()
    cases = all_cases()
    wrong = faults_of_all(cases)
    texts = render(cases)
    if options.check:
        wrong += [f"{name}: not what the author's script writes" for name in differing(texts)]
    elif not wrong:
        write(texts)
    if options.counts:
        print(counts(cases))
    print("\n".join(wrong) if wrong else f"{len(cases)} cases, nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
