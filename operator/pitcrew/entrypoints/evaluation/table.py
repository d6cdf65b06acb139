"""The scores as a page for people and as data for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pitcrew.entrypoints.evaluation.score import Chosen, Sums, sums, worse_than

RULES_ALONE = "rules alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One way of playing all cases: its name (mode and model), and what was chosen in each."""

    name: str
    chosen: Sequence[Chosen]

    @property
    def sums(self) -> Sums:
        """Its sums."""
        return sums(self.chosen)


ROWS: tuple[tuple[str, str], ...] = (
    ("cases", "cases"),
    ("cause right", "cause"),
    ("first step right", "step"),
    ("harmful, without a person", "harmful"),
    ("done without a person", "alone"),
    ("of these not a right step", "wrong"),
    ("worse than rules alone", "worse"),
    ("left to people", "abstained"),
    ("of these rightly", "rightly"),
    ("no rule knows", "unknown"),
    ("the model names it there", "adds"),
    ("answers that were refused", "refused"),
    ("agrees / disagrees, grounded", "agrees"),
    ("Brier score", "brier"),
    ("calibration error", "calibration"),
    ("evidence, median tokens", "evidence"),
    ("evidence to raw log", "ratio"),
    ("tokens asked and answered, median", "tokens"),
    ("seconds, median", "seconds"),
)


def table(runs: Sequence[Run]) -> str:
    """All runs side by side, as Markdown."""
    base = runs[0].chosen
    columns = [_cells(run.sums, len(worse_than(base, run.chosen))) for run in runs]
    lines = ["| | " + " | ".join(run.name for run in runs) + " |", "|---" * (len(runs) + 1) + "|"]
    lines += [f"| {title} | " + " | ".join(column[key] for column in columns) + " |" for title, key in ROWS]
    return "\n".join(lines) + "\n"


def _cells(of: Sums, worse: int) -> Mapping[str, str]:
    ratio = "-" if of.evidence_per_log is None else f"{of.evidence_per_log:.2f}"
    return {
        "cases": str(of.cases),
        "cause": f"{_percent(of.cause_accuracy)} (at least {_percent(of.cause_accuracy_least)})",
        "step": _percent(of.action_accuracy),
        "harmful": f"{of.harmful} (at most {_percent(of.harmful_most)})",
        "alone": str(of.alone),
        "wrong": str(of.wrong_alone),
        "worse": str(worse),
        "abstained": str(of.abstained),
        "rightly": str(of.abstained_right),
        "unknown": str(of.unknown_to_rules),
        "adds": str(of.model_right_there),
        "refused": str(of.refused),
        "agrees": f"{of.agreed} / {of.disagreed}",
        "brier": f"{of.brier:.3f}",
        "calibration": f"{of.calibration_error:.3f}",
        "evidence": f"{of.evidence_tokens_median:.0f}",
        "ratio": ratio,
        "tokens": f"{of.tokens_median:.0f}",
        "seconds": f"{of.seconds_median:.1f}",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def by_fault(run: Run) -> str:
    """Cause and first step of one run by kind of fault, as Markdown."""
    found: dict[int, list[Chosen]] = {}
    for one in run.chosen:
        found.setdefault(one.fault, []).append(one)
    lines = ["| fault | cases | cause right | first step right | harmful |", "|---|---|---|---|---|"]
    for fault, inside in sorted(found.items()):
        cause = sum(one.cause_right for one in inside)
        step = sum(one.action_right for one in inside)
        harmful = sum(one.harmful for one in inside)
        lines.append(f"| {fault or 'none of them'} | {len(inside)} | {cause} | {step} | {harmful} |")
    return "\n".join(lines) + "\n"


def data(runs: Sequence[Run]) -> Mapping[str, object]:
    """All runs with each case, as data for JSON; shares are of 1."""
    return {"runs": [_run_data(run) for run in runs]}


def _run_data(run: Run) -> Mapping[str, object]:
    return {
        "name": run.name,
        "sums": asdict(run.sums),
        "causeAccuracyLeast": run.sums.cause_accuracy_least,
        "harmfulMost": run.sums.harmful_most,
        "cases": [asdict(one) for one in run.chosen],
    }
