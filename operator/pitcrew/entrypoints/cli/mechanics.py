"""Talking to a Mechanic in a process of its own, as a person: a stop, also while Driver and Official are down (S15)."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pitcrew.adapters.outgoing import checked_address
from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.order import REASON_BYTES_MAX
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.cli.officials import token_in
from pitcrew.entrypoints.cli.output import say, shown

try:
    from pitcrew.adapters.mechanic.client import MechanicClient, NotLetIn
except ModuleNotFoundError as error:
    raise InvalidInput(f"{error.name} is not installed; install pitcrew[servers]") from None

ANSWER_S = 10.0
"""Seconds until a Mechanic counts as unanswering; it writes one file and answers."""
_BY_HAND = "to be sure, touch STATE/STOP on its machine, or send it SIGUSR1"


def stop_at(url: str, token_file: Path | None, reason: str) -> None:
    """Stop the Mechanic at `url` by its tool, and print where the stop stands.

    Raises:
        InvalidInput: no address or no token; nothing was asked.
        Refused: the token does not count there, or has not the role operator; nothing was stopped.
        Unavailable: it cannot be reached, or it is not known whether it stopped.
    """
    checked_address(url, "mechanic")
    if token_file is None:
        raise InvalidInput("--mechanic: name the file with your token, which has the role operator, by --token-file")
    token_in(token_file)
    answer = asyncio.run(_stopped(url.rstrip("/"), token_file, clean(reason, REASON_BYTES_MAX) or "no reason given"))
    say(f"stopped the Mechanic at {shown(url)}: remove {shown(answer.get('place'))} on its machine to go on")


async def _stopped(url: str, token_file: Path, reason: str) -> Mapping[str, Any]:
    client = MechanicClient(name="to stop", url=url, token_file=token_file)
    try:
        return await client.call("stop", {"reason": reason}, within_s=ANSWER_S)
    except NotLetIn as error:
        raise Refused(
            f"{error}; nothing was stopped: give a token of the file that it was started with, made by "
            "`pitcrew tokens add NAME --role operator`"
        ) from None
    except Refused as error:
        raise Refused(f"the Mechanic at {url}: {error}; nothing was stopped") from None
    except Unavailable as error:
        raise Unavailable(f"{error}; {_BY_HAND}") from None
    finally:
        await client.close()
