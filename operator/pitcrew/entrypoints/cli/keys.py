"""The keys that roles sign with: made, rotated, shown. Private keys never leave their directory."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pitcrew.entrypoints.cli.options import STATE, State
from pitcrew.entrypoints.cli.output import say

keys_app = typer.Typer(
    name="keys",
    help="Make, rotate and show the keys that the Official and the Mechanic sign with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class KeyRole(StrEnum):
    """Whose key."""

    OFFICIAL = "official"
    MECHANIC = "mechanic"


Role = Annotated[KeyRole, typer.Option("--role", help="Whose key it is.")]


@keys_app.command()
def init(role: Role, state: State = STATE) -> None:
    """Make the key where there is none, and print its public half."""
    from pitcrew.keys import private_key, shown

    directory = _directory(state, role, make=True)
    private_key(directory)
    say(shown(directory).decode().rstrip("\n"))


@keys_app.command()
def rotate(
    role: Role,
    state: State = STATE,
    retire: Annotated[
        bool, typer.Option("--retire", help="Show the key before no longer, once everybody has the new one.")
    ] = False,
) -> None:
    """Make a new key, which signs from the next start on, and print both public halves for those who verify."""
    from pitcrew import keys

    directory = _directory(state, role)
    (keys.retire if retire else keys.rotate)(directory)
    say(keys.shown(directory).decode().rstrip("\n"))


@keys_app.command()
def show(role: Role, state: State = STATE) -> None:
    """Print the public keys in PEM, the one that signs first."""
    from pitcrew.keys import shown

    say(shown(_directory(state, role)).decode().rstrip("\n"))


def _directory(state: Path, role: KeyRole, *, make: bool = False) -> Path:
    if make and not state.is_dir():
        state.mkdir(mode=0o755, parents=True)
    return state.absolute() / role.value
