"""The operator on one machine: YAML on disk, all roles in one process (`separation: none`)."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from pitcrew.bootstrap import Operator, compose
from pitcrew.core.errors import JournalError, PitCrewError
from pitcrew.core.untrusted import printable
from pitcrew.entrypoints.control import listening
from pitcrew.entrypoints.logs import configure_logging
from pitcrew.settings import Settings

ARCHIVE_EVERY_S = 86_400
"""Seconds between two looks for old segments; a segment lives at least a day."""
_log = logging.getLogger("pitcrew")


def main(settings: Settings, *, log_format: str = "text", build: Callable[[Settings], Operator] = compose) -> int:
    """Run until SIGTERM or SIGINT; the exit code. An effect under way is finished first."""
    configure_logging(log_format)
    try:
        return asyncio.run(_serve(settings, build))
    except PitCrewError as error:
        print(f"pitcrew: {printable(str(error), lines=False)}", file=sys.stderr)
        return 1


async def _serve(settings: Settings, build: Callable[[Settings], Operator]) -> int:
    operator = build(settings)
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, operator.ending.set)
    head = operator.journal.head
    _log.info("operator started", extra={"seq": head.seq, "hash": head.hash, "text": f"state {settings.state}"})
    archiving = asyncio.create_task(_archive_daily(operator))
    try:
        async with listening(operator.control, settings.state.absolute()):
            await operator.fleet.run()
    finally:
        await archiving
        head = operator.journal.head
        await operator.close()
        _log.info("operator ended", extra={"seq": head.seq, "hash": head.hash})
    return 0


async def _archive_daily(operator: Operator) -> None:
    """Compress old segments of the journal now and then; what fails is tried again the next day."""
    while not operator.ending.is_set():
        try:
            await operator.world.journal_files.archive()
        except JournalError as error:
            _log.error("journal not archived", extra={"text": str(error)})
        with suppress(TimeoutError):
            await asyncio.wait_for(operator.ending.wait(), ARCHIVE_EVERY_S)
