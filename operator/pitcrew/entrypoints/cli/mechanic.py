"""`pitcrew mechanic`: the Mechanic in a process of its own."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from pitcrew.bootstrap_mechanic import open_mechanic
from pitcrew.core.errors import InvalidInput
from pitcrew.entrypoints.logs import configure_logging
from pitcrew.entrypoints.servers.serving import Listen
from pitcrew.settings import Settings

try:
    from pitcrew.entrypoints.servers.mechanic_process import MechanicProcess
except ModuleNotFoundError as error:
    raise InvalidInput(f"{error.name} is not installed; install pitcrew[servers]") from None

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command was given; `listen` is None for standard input and output."""

    settings: Settings
    id: str
    official_keys: Path | None
    listen: Listen | None
    log_format: str


def serve(asked: Asked) -> None:
    """Run until SIGTERM or SIGINT, or until the client hangs up.

    Raises:
        InvalidInput: an option names something that cannot be used.
    """
    if _ID.fullmatch(asked.id) is None:
        raise InvalidInput(f"--id {asked.id!r}: 1 to 63 of a-z, 0-9 and -; permits are made out to it, such as default")
    configure_logging(asked.log_format)
    asyncio.run(_serve(asked))


async def _serve(asked: Asked) -> None:
    process = MechanicProcess(parts=open_mechanic(asked.settings, asked.id, asked.official_keys))
    process.obey_signals()
    if asked.listen is None:
        await process.speak()
    else:
        await process.listen(asked.listen)
