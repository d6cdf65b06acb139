"""The commands over runbooks: their words and options. What each does stands in `strategist`."""

from pathlib import Path
from typing import Annotated

import typer

from pitcrew.entrypoints.cli.codes import BAD_NEWS
from pitcrew.entrypoints.cli.completion import causes, incident_ids, runbook_ids
from pitcrew.entrypoints.cli.options import STATE, Format, Runbooks, State
from pitcrew.entrypoints.cli.output import Output

runbooks_app = typer.Typer(help="Read, search, check and begin runbooks.", no_args_is_help=True, rich_markup_mode=None)


@runbooks_app.command("list")
def list_(runbooks: Runbooks = None, output: Format = Output.TABLE) -> None:
    """Show every runbook that can be used: what it treats, its remedies, where it comes from."""
    from pitcrew.entrypoints.cli.strategist import loaded, show_runbooks

    show_runbooks(loaded(runbooks), output)


@runbooks_app.command()
def show(
    runbook: Annotated[
        str, typer.Argument(metavar="ID", help="Id of a runbook.", autocompletion=runbook_ids, show_default=False)
    ],
    runbooks: Runbooks = None,
) -> None:
    """Print a runbook as it stands in its file."""
    from pitcrew.entrypoints.cli.strategist import loaded, show_runbook

    show_runbook(loaded(runbooks), runbook)


@runbooks_app.command()
def search(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORDS", help="Any of these words, or another form of one.")
    ] = None,
    incident: Annotated[
        str | None,
        typer.Option(
            "--incident",
            metavar="INCIDENT",
            help="Rank by the evidence of this incident, as the journal has it.",
            autocompletion=incident_ids,
        ),
    ] = None,
    state: State = STATE,
    runbooks: Runbooks = None,
    output: Format = Output.TABLE,
) -> None:
    """Show the runbooks for some words, or for what an incident's evidence says, best first, each with why.

    Only what the evidence proves is used for a remedy, wherever it ranks here.
    """
    from pitcrew.entrypoints.cli.strategist import evidence_of, loaded, search_runbooks

    evidence = evidence_of(state, incident) if incident else ()
    search_runbooks(loaded(runbooks), " ".join(words or ()), evidence, output)


@runbooks_app.command()
def lint(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="Runbooks, or directories of them; default: PITCREW_RUNBOOKS, else the built-in ones."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
) -> None:
    """Check runbooks: every problem as FILE:LINE: FIELD: what is wrong, what to do. Exit code 1 on errors."""
    from pitcrew.entrypoints.cli.strategist import lint_runbooks

    if not lint_runbooks(tuple(files or ()), strict=strict):
        raise typer.Exit(BAD_NEWS)


@runbooks_app.command()
def new(
    runbook: Annotated[str, typer.Argument(metavar="ID", help="Its id: small letters, digits and dashes.")],
    cause: Annotated[
        str, typer.Option("--cause", metavar="CAUSE", help="The cause it treats, such as Hang.", autocompletion=causes)
    ],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="Where ID.md is written.")] = Path(),
) -> None:
    """Write a runbook to begin with, with a comment at each field; never over a file that is there."""
    from pitcrew.entrypoints.cli.strategist import begin_runbook

    begin_runbook(runbook, cause, into)
