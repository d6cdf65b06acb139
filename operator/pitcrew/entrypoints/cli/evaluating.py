"""`pitcrew eval`: labelled incidents are played and scored, and those of others are taken in."""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pitcrew.adapters.diagnoser.configured import configured
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.core.resource import DiagnosisMode
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.cli.output import say, shown
from pitcrew.entrypoints.evaluation.case import Case, read_cases, written
from pitcrew.entrypoints.evaluation.remembered import Remembered
from pitcrew.entrypoints.evaluation.running import Way, run
from pitcrew.entrypoints.evaluation.score import Chosen
from pitcrew.entrypoints.evaluation.table import RULES_ALONE, Run, by_fault, data, table
from pitcrew.settings import Settings
from pitcrew.settings import load as load_settings

LINE_BYTES_MAX = 8 * 1024
"""Bytes of one text that is taken in."""


def evaluate(
    paths: Sequence[Path],
    modes: Sequence[DiagnosisMode],
    runbooks: Sequence[Path],
    json_file: Path | None,
    sample: int = 1,
    answers: Path | None = None,
) -> None:
    """Play and score cases by rules alone, and in each mode with the model that the environment configures.

    `sample` takes every so many-th case, of all that are sorted by their ids; `answers` is where a model's answers are
    kept, and read from where the same was asked before.
    """
    cases = sorted(read_cases(paths), key=lambda case: case.id)[::sample]
    if not cases:
        raise InvalidInput("no case is there; name files or directories of .jsonl")
    with tempfile.TemporaryDirectory(prefix="pitcrew-eval-") as state:
        settings = load_settings({"state": Path(state), "runbooks": tuple(runbooks) or None})
        runs = asyncio.run(_runs(cases, modes, settings, answers))
    say(table(runs))
    say(by_fault(runs[0]).rstrip("\n"))
    if json_file is not None:
        json_file.write_text(json.dumps(data(runs), indent=1) + "\n", encoding="utf-8")


async def _runs(
    cases: Sequence[Case], modes: Sequence[DiagnosisMode], settings: Settings, answers: Path | None
) -> Sequence[Run]:
    runs = [await run(Way(name=RULES_ALONE, mode=DiagnosisMode.RULES), cases, settings)]
    asked = configured(settings)
    if asked is None:
        return runs
    consultant = Remembered(asked, answers)
    try:
        for mode in modes:
            name = f"{mode}, {consultant.model}"
            way = Way(name=name, mode=mode, consultant=consultant, replayed_s=lambda: consultant.replayed_s)
            runs.append(await run(way, cases, settings, _follow))
    finally:
        await consultant.close()
    return runs


def _follow(number: int, one: Chosen) -> None:
    what = f"{one.cause}, {one.action}" + (f", refused: {one.failure}" if one.failure else "")
    say(f"{number} {one.id} {shown(what)} ({one.seconds:.0f} s)", error=True)


def take_in(paths: Sequence[Path], into: Path) -> None:
    """Check the cases of others, redact their texts, and add them to a file.

    Raises InvalidInput naming each problem; then nothing is added.
    """
    known = {case.id for case in read_cases([into])} if into.exists() else set()
    found = read_cases(paths)
    if twice := sorted(case.id for case in found if case.id in known):
        raise InvalidInput(f"{into}: holds {', '.join(twice[:5])} already; give each case an id of its own")
    with into.open("a", encoding="utf-8") as file:
        file.writelines(written(redacted(case)) + "\n" for case in found)
    say(f"{len(found)} cases added to {shown(into)}")


RECORDED = ("sight", "probes", "logs", "events", "processes", "stats", "makeup", "missing")
"""Parts of a case whose texts were written by whatever ran there."""


def redacted(case: Case) -> Case:
    """A case whose recorded texts went through the same redaction as live evidence, without values of environments."""
    data = case.model_dump(mode="json", by_alias=True)
    process = data["service"]["spec"]["target"]["process"]
    if process is not None:
        process["env"] = dict.fromkeys(process["env"], "")
    return Case.model_validate({**data, **{part: _cleaned(data[part]) for part in RECORDED}})


def _cleaned(part: Json) -> Json:
    match part:
        case str():
            return clean(part, LINE_BYTES_MAX)
        case list():
            return [_cleaned(one) for one in part]
        case dict():
            return {name: _cleaned(one) for name, one in part.items()}
        case _:
            return part
