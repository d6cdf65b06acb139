"""`pitcrew tokens`: who may call PitCrew's servers; its words, options and exit codes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pitcrew.core.caller import Role, Token
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.options import Format
from pitcrew.entrypoints.cli.output import Output, say, say_data, say_table

tokens_app = typer.Typer(
    help="Make, list and revoke the bearer tokens of callers.", no_args_is_help=True, rich_markup_mode=None
)

File = Annotated[
    Path,
    typer.Option("--file", metavar="FILE", envvar="PITCREW_TOKENS", help="File of the tokens' hashes, mode 0600."),
]
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is, as approvers are named.")]


@tokens_app.command("add")
def tokens_add(
    name: TokenName,
    file: File,
    role: Annotated[list[Role], typer.Option("--role", help="What it may be used for; may be repeated.")],
    days: Annotated[int | None, typer.Option("--days", help="Days until it expires; default: when revoked.")] = None,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    from pitcrew.adapters.tokens.files import add

    say(add(file, name, role, datetime.now(UTC), days))


@tokens_app.command("list")
def tokens_list(file: File, output: Format = Output.TABLE) -> None:
    """Show whose tokens there are, their roles and until when they hold; never the tokens."""
    from pitcrew.adapters.tokens.files import listed

    found, now = listed(file), datetime.now(UTC)
    if output.for_tools:
        say_data({"tokens": [_data(one) for one in found]}, output)
    else:
        say_table(["NAME", "ROLES", "MADE", "HOLDS"], [_row(one, now) for one in found])


def _data(token: Token) -> dict[str, Json]:
    return {
        "name": token.name,
        "roles": [str(role) for role in sorted(token.roles)],
        "createdAt": token.created_at.isoformat(),
        "expiresAt": token.expires_at.isoformat() if token.expires_at else None,
    }


def _row(token: Token, now: datetime) -> list[str]:
    if token.expires_at is None:
        held = "until revoked"
    else:
        held = f"{'until' if now < token.expires_at else 'expired'} {token.expires_at:%Y-%m-%d %H:%M}Z"
    return [token.name, ", ".join(sorted(token.roles)), f"{token.created_at:%Y-%m-%d %H:%M}Z", held]


@tokens_app.command("revoke")
def tokens_revoke(name: TokenName, file: File) -> None:
    """Revoke a token: from the next request on it is nobody's, without a restart."""
    from pitcrew.adapters.tokens.files import revoke

    revoke(file, name)
    say(f"{name}: revoked")
