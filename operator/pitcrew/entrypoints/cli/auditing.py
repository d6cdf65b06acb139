"""`pitcrew audit`: its words, options and exit codes."""

from pathlib import Path
from typing import Annotated

import typer

from pitcrew.entrypoints.cli.codes import BAD_NEWS
from pitcrew.entrypoints.cli.options import STATE, Format, JournalKey, State, there
from pitcrew.entrypoints.cli.output import Output

audit_app = typer.Typer(
    help="Check the journal, or acknowledge its damage.", no_args_is_help=True, rich_markup_mode=None
)


@audit_app.command("verify")
def audit_verify(
    state: State = STATE,
    head: Annotated[
        str | None,
        typer.Option("--head", help="HASH or SEQ:HASH of a record known to have been there; default: from the status."),
    ] = None,
    heads: Annotated[
        list[Path] | None,
        typer.Option(
            "--heads",
            metavar="FILE",
            help="File with heads that left the host: lines of syslog, bodies of the webhook, the file; repeatable.",
        ),
    ] = None,
    journal_key: JournalKey = None,
    output: Format = Output.TABLE,
) -> None:
    """Check the chain of the journal against every known head; name the first bad record. Exit code 1 if it fails."""
    from pitcrew.entrypoints.cli.audit import verify_journal

    if not verify_journal(there(state), head, heads or [], journal_key, output):
        raise typer.Exit(BAD_NEWS)


@audit_app.command("approvals")
def audit_approvals(
    incident: Annotated[
        str | None, typer.Argument(metavar="[INCIDENT]", help="One incident; default: every decision there is.")
    ] = None,
    allowed_signers: Annotated[
        Path | None,
        typer.Option(
            "--allowed-signers",
            metavar="FILE",
            help="Whose keys sign, as git uses it; default: the setting.",
        ),
    ] = None,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Verify every recorded decision anew: who approved exactly what. Exit code 1 when one does not hold."""
    from pitcrew.entrypoints.cli.approvals import audit_decisions

    if not audit_decisions(there(state), incident, allowed_signers, output):
        raise typer.Exit(BAD_NEWS)


@audit_app.command("seal")
def audit_seal(
    reason: Annotated[str, typer.Option("--reason", help="Why it is acknowledged; becomes part of the journal.")],
    state: State = STATE,
    journal_key: JournalKey = None,
) -> None:
    """Acknowledge a damaged journal, so that effects go on; what is damaged is never read again."""
    from pitcrew.entrypoints.cli.audit import seal_journal

    seal_journal(there(state), reason, journal_key)
