"""The commands over labelled incidents: their words and options. What each does stands in `evaluating`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pitcrew.entrypoints.cli.options import Runbooks

eval_app = typer.Typer(
    help="Score diagnosis and choice on labelled incidents.", no_args_is_help=True, rich_markup_mode=None
)


class ModelMode(StrEnum):
    """How a model takes part."""

    CONSULT = "Consult"
    ASSIST = "Assist"


Cases = Annotated[
    list[Path], typer.Argument(metavar="CASES", help="Files of cases (JSON Lines), or directories of them.")
]


@eval_app.command()
def run(
    cases: Cases,
    mode: Annotated[
        list[ModelMode] | None,
        typer.Option("--mode", help="How the configured model takes part; may be repeated. Default: both ways."),
    ] = None,
    runbooks: Runbooks = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every case and all sums there.")
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=1, help="Every N-th case only, sorted by id; all by default.")
    ] = 1,
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers", metavar="DIR", help="Keep the answers of the model there, and ask nothing a second time."
        ),
    ] = None,
) -> None:
    """Play every case up to the first step that would act or ask, and score what was chosen.

    The rules play alone first; then, where PITCREW_MODEL names one, a model takes part. Nothing is acted on.
    """
    from pitcrew.core.resource import DiagnosisMode
    from pitcrew.entrypoints.cli.evaluating import evaluate

    evaluate(cases, [DiagnosisMode(one) for one in mode or list(ModelMode)], runbooks or (), json_file, sample, answers)


@eval_app.command("import")
def import_(
    cases: Cases,
    into: Annotated[Path, typer.Option("--into", metavar="FILE", help="File of cases to add them to.")],
) -> None:
    """Check the cases of others, redact their texts, and add them to a file of one's own."""
    from pitcrew.entrypoints.cli.evaluating import take_in

    take_in(cases, into)
