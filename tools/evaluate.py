"""`make eval`: score the labelled incidents by rules alone and beside each small model, and write the page about it.

    python -m tools.evaluate [--sample N] [--answers DIR] [--write]

The rules play every case of both halves; each model plays, in Consult and in Assist, every N-th case of the test half
and all of it whose cause the rules do not name rightly, since there a model could add something. One answer of a small
model takes some 15 seconds on two cores, so all 262 cases take hours: N is 4 by default. What a model
answered is kept under build/, and asked again only where the question became another, so that a run that was
interrupted goes on. The page
is docs/reference/evaluation.md, and docs/reference/evaluation.json holds every case; without --write both are only
printed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.llm_local import MODELS, UNHURRIED, exports, serving

ROOT = Path(__file__).resolve().parent.parent
CASES = Path("tests/bench/cases")
PAGE = ROOT / "docs" / "reference" / "evaluation.md"
DATA = PAGE.with_suffix(".json")
ANSWERS = ROOT / "build" / "eval-answers"
HEAD = """<!-- Made by `make eval`; do not edit. -->

# How good it is, on labelled incidents

{cases} incidents of every fault in the project's fault list, on many kinds of applications and log styles, with noise,
misleading lines and missing parts. They were written by hand in the form of recordings; none was recorded off a live
engine. The development half is what the rules were tuned on; the test half was written before and apart from them, by
an author who had not read them, and is not read while they are tuned (`tests/bench/cases/README.md`). {date}, PitCrew
{version}.

*Harmful* is a first step that would do damage, carried out without a person. *At least* and *at most* are one-sided
bounds at 95 %. *Evidence to raw log* compares tokens; short logs are smaller than the facts beside them.
"""
SMALL = """
## Beside small models, on the test half

{models}: models of 270 and 135 million parameters, served on the same machine. They play every {sample}th case of
the test half, sorted by id, and all those whose cause the rules do not name rightly: there a model could add something.
So these numbers are not those of the whole half; the rules play the same cases for comparison. *Worse than rules alone*
counts cases in which more was done without a person, and not rightly, than the rules alone would have done.
"""


def main(arguments: list[str] | None = None) -> int:
    """0 where everything was played, and nothing harmful was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=4, help="models play every N-th case (default 4)")
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="which models (default: all)")
    parser.add_argument("--answers", type=Path, default=ANSWERS, help="where answers are kept (default %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the page and the data")
    chosen = parser.parse_args(arguments)
    halves = {half: played([CASES / half]) for half in ("test", "dev")}
    ids = told(halves["test"], chosen.sample)
    beside = {name: played_beside(name, ids, chosen.answers) for name in chosen.models}
    page = written(halves, beside, chosen.sample)
    print(page)
    if chosen.write:
        PAGE.write_text(page, encoding="utf-8")
        DATA.write_text(json.dumps({"halves": halves, "beside": beside}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(harm(data) for data in (*halves.values(), *beside.values())) else 0


def played(paths: Sequence[Path], environ: Mapping[str, str] | None = None, *options: str) -> dict[str, Any]:
    """What `pitcrew eval run` found: its table as `text`, and its data."""
    with TemporaryDirectory() as directory:
        data = Path(directory) / "eval.json"
        command = [sys.executable, "-m", "pitcrew", "eval", "run", *map(str, paths), "--json", str(data), *options]
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("PITCREW_", "OPENAI_"))}
        done = subprocess.run(command, cwd=ROOT, env={**bare, **(environ or {})}, stdout=subprocess.PIPE, check=True)
        return {"text": done.stdout.decode(), **json.loads(data.read_text(encoding="utf-8"))}


def told(half: Mapping[str, Any], sample: int) -> frozenset[str]:
    """Ids of every so many-th case, and of those whose cause the rules do not name rightly."""
    cases = half["runs"][0]["cases"]
    missed = [case["id"] for case in cases if not case["cause_right"]]
    return frozenset([*sorted(case["id"] for case in cases)[::sample], *missed])


def played_beside(model: str, ids: Collection[str], answers: Path) -> dict[str, Any]:
    """These cases of the test half beside one model."""
    lines = [line for path in sorted((ROOT / CASES / "test").glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    with TemporaryDirectory() as directory, serving(model) as url:
        cases = Path(directory) / "cases.jsonl"
        cases.write_text("".join(line for line in lines if json.loads(line)["id"] in ids), encoding="utf-8")
        return played([cases], {**exports(model, url), **UNHURRIED}, "--answers", str(answers.resolve()))


def harm(data: Mapping[str, Any]) -> int:
    """Harmful choices in all runs."""
    return sum(run["sums"]["harmful"] for run in data["runs"])


def written(halves: Mapping[str, Any], beside: Mapping[str, Any], sample: int) -> str:
    """The page."""
    from pitcrew import __version__

    count = sum(half["runs"][0]["sums"]["cases"] for half in halves.values())
    parts = [HEAD.format(cases=count, date=f"{datetime.now(UTC):%Y-%m-%d}", version=__version__)]
    parts += [f"\n## Rules alone, {name} half\n\n{half['text'].strip()}\n" for name, half in halves.items()]
    if beside:
        parts.append(SMALL.format(models=" and ".join(beside), sample=sample))
        parts += [f"\n{data['text'].partition('| fault |')[0].strip()}\n" for data in beside.values()]
        parts += [f"\n{adds(name, data)}\n" for name, data in beside.items()]
    return "".join(parts)


def adds(name: str, data: Mapping[str, Any]) -> str:
    """In words: what the model added where the rules do not name the cause."""
    rules, consult = (run["cases"] for run in data["runs"][:2])
    missed = {case["id"] for case in rules if not case["cause_right"]}
    asked = [case for case in consult if case["id"] in missed and case["tokens"]]
    right = sum(bool(case["model_right"]) for case in asked)
    said = f"it named a right one in {right}" if right else "it added nothing"
    return (
        f"**What {name} adds**: the rules do not name the cause of {len(missed)} of these cases. In {len(asked)} of "
        f"them there was an incident to ask about; {said}."
    )


if __name__ == "__main__":
    sys.exit(main())
