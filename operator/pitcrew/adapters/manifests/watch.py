"""Manifests followed while they are edited: a rescan after any event, and a slow one without, should events be lost."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from pitcrew.adapters.manifests.document import Limits
from pitcrew.adapters.manifests.files import FILES_MAX, Found, scan
from pitcrew.adapters.manifests.load import Good, Standing, join, parse_found
from pitcrew.adapters.manifests.parse import Check, Parsed, no_further_checks
from pitcrew.core.errors import InvalidInput
from pitcrew.core.policy import Guardrails, Unread
from pitcrew.ports import Loaded

POLL_S = 10.0
"""Longest time until a change is seen whose event was lost."""
MISSING_POLL_S = 1.0
"""How often a directory that has vanished is looked for."""
SETTLE_S = 0.2
"""An editor may remove a file and write it anew: a file counts as deleted when it is still gone after this time."""
DEBOUNCE_MS = 100
"""Events closer together are one change."""


class ManifestWatch:
    """`ManifestSource` over directories and single files.

    Raises:
        InvalidInput: no path is given.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        limits: Limits | None = None,
        files_max: int = FILES_MAX,
        extra_checks: Check = no_further_checks,
        poll_s: float = POLL_S,
    ) -> None:
        if not paths:
            raise InvalidInput("no manifests: name a directory or files after --manifests")
        self._paths = [str(path) for path in paths]
        self._limits = limits or Limits()
        self._files_max = files_max
        self._extra_checks = extra_checks
        self._poll_s = poll_s
        self._parsed: dict[str, tuple[bytes, Parsed]] = {}
        self._guardrails = Guardrails(unread=(Unread(place="the manifests were not read yet"),))

    async def changes(self) -> AsyncIterator[Loaded]:
        """See `pitcrew.ports.ManifestSource`."""
        good: Good = {}
        last: Loaded | None = None
        async with aclosing(self._ticks()) as ticks:
            async for _ in ticks:
                standing = await self._settled(good)
                good = standing.good
                self._guardrails = standing.loaded.guardrails
                if standing.loaded != last:
                    last = standing.loaded
                    yield last

    def guardrails(self) -> Guardrails:
        """See `pitcrew.ports.ManifestSource`."""
        return self._guardrails

    async def _settled(self, good: Good) -> Standing:
        """What stands now; a file that has gone is looked for a second time."""
        standing = await asyncio.to_thread(self._look, good)
        if good.keys() - standing.good.keys():
            await asyncio.sleep(SETTLE_S)
            standing = await asyncio.to_thread(self._look, good)
        return standing

    def _look(self, good: Good) -> Standing:
        seen = scan(self._paths, bytes_max=self._limits.bytes_max, files_max=self._files_max)
        files = {found.file for found in seen.found}
        self._parsed = {file: parsed for file, parsed in self._parsed.items() if file in files}
        return join(seen, self._parse, good)

    def _parse(self, found: Found) -> Parsed:
        """A file is parsed again when its bytes, or the reason why it is refused, have changed."""
        mark = hashlib.sha256(found.refused.encode() + b"\0" + found.raw).digest()
        known = self._parsed.get(found.file)
        if known is None or known[0] != mark:
            known = self._parsed[found.file] = (mark, parse_found(found, self._limits, self._extra_checks))
        return known[1]

    async def _ticks(self) -> AsyncGenerator[None, None]:
        """Moments to look: when the watch is armed, after events, at every poll, and when a directory comes back."""
        while True:
            watched = _identities(self._folders())
            if not watched:
                yield
                await asyncio.sleep(min(MISSING_POLL_S, self._poll_s))
                continue
            async with aclosing(self._events(sorted(watched))) as events:
                async for _ in events:
                    yield
                    if _identities(self._folders()) != watched:
                        break

    async def _events(self, folders: Sequence[str]) -> AsyncGenerator[None, None]:
        """One tick once the watch is armed, so that nothing falls between the first look and the first event."""
        watch = awatch(
            *folders,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            recursive=False,
            rust_timeout=int(self._poll_s * 1000),
            yield_on_timeout=True,
            ignore_permission_denied=True,
        )
        pending = asyncio.ensure_future(anext(watch))
        try:
            await asyncio.sleep(0)  # one round of the loop: the watch is armed before it first waits
            yield
            while True:
                await asyncio.wait([pending])
                pending.result()
                pending = asyncio.ensure_future(anext(watch))
                yield
        except (OSError, WatchfilesRustInternalError):
            # A directory vanished before the watch was armed, or the machine has no watches left: look now and then.
            await asyncio.sleep(min(MISSING_POLL_S, self._poll_s))
        finally:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
            await watch.aclose()

    def _folders(self) -> list[str]:
        """The directories whose entries matter: of a single file the one it is in, since editors replace files."""
        return [path if os.path.isdir(path) else os.path.dirname(path) or "." for path in self._paths]


def _identities(folders: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The directories that exist, and which ones they are: one that was replaced needs a new watch."""
    found: dict[str, tuple[int, int]] = {}
    for folder in folders:
        try:
            status = os.stat(folder)
        except OSError:
            continue
        found[folder] = (status.st_dev, status.st_ino)
    return found
