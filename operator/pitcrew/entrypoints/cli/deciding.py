"""What people are asked, and what they decide: at the operator of this machine, or at an Official of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pitcrew.entrypoints.cli.options import STATE, Format, IncidentId, State, there
from pitcrew.entrypoints.cli.output import Output

if TYPE_CHECKING:
    from pitcrew.entrypoints.cli.orders import Desk

Reason = Annotated[str, typer.Option("--reason", help="Why; becomes part of the record.")]
Plan = Annotated[str | None, typer.Option("--plan", metavar="DIGEST", help="Decide only if this is what is asked.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again at the terminal.")]
Sign = Annotated[bool, typer.Option("--sign", help="Sign it with an SSH key; who you are is whose key it is.")]
SshKey = Annotated[
    Path | None,
    typer.Option("--ssh-key", metavar="KEY", help="Sign with this key; the .pub of one in an agent will do."),
]


OfficialUrl = Annotated[
    str | None,
    typer.Option(
        "--official", metavar="URL", envvar="PITCREW_OFFICIAL_URL", help="The Official, where it is its own process."
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file", metavar="FILE", envvar="PITCREW_TOKEN_FILE", help="Your bearer token there; not for --sign."
    ),
]


def question(
    incident: IncidentId,
    official: OfficialUrl = None,
    token_file: TokenFile = None,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Show what an incident asks people about; at an Official also a plan, by its digest or 16 characters of it."""
    from pitcrew.entrypoints.cli import orders

    orders.question(_desk(state, official, token_file), incident, output)


def approve(
    incident: IncidentId,
    reason: Reason,
    plan: Plan = None,
    sign: Sign = False,
    ssh_key: SshKey = None,
    official: OfficialUrl = None,
    token_file: TokenFile = None,
    yes: Yes = False,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Approve the plan that an incident asks about; it is shown first. Who you are is what system or key says."""
    from pitcrew.entrypoints.cli.orders import Pen, decide

    desk = _desk(state, official, token_file)
    decide(desk, incident, "Approve", reason, plan, Pen(sign=sign, key=ssh_key), yes=yes, output=output)


def deny(
    incident: IncidentId,
    reason: Reason,
    plan: Plan = None,
    sign: Sign = False,
    ssh_key: SshKey = None,
    official: OfficialUrl = None,
    token_file: TokenFile = None,
    yes: Yes = False,
    state: State = STATE,
    output: Format = Output.TABLE,
) -> None:
    """Deny the plan that an incident asks about; it is shown first, and goes to a person."""
    from pitcrew.entrypoints.cli.orders import Pen, decide

    desk = _desk(state, official, token_file)
    decide(desk, incident, "Deny", reason, plan, Pen(sign=sign, key=ssh_key), yes=yes, output=output)


def _desk(state: Path, official: str | None, token: Path | None) -> "Desk":
    """Where people are asked: the Official that is named, else the operator of this machine."""
    from pitcrew.entrypoints.cli.officials import OfficialAt
    from pitcrew.entrypoints.cli.orders import OperatorAt

    return OfficialAt(url=official, token=token) if official else OperatorAt(state=there(state))
