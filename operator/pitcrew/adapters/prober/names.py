"""Names to addresses, so that a resolver that hangs takes neither the loop nor its shared threads with it.

`getaddrinfo` cannot be interrupted. Each name is looked up by one daemon thread at a time that everybody who asks for
this name shares; a hung one ends by itself when the resolver gives up, and does not hold up the end of the process.
"""

import asyncio
import socket
import threading

from pitcrew.adapters.prober.addresses import Address, literal

ADDRESSES_MAX = 4
"""Addresses of one name that a probe tries; more would leave each too little of the probe's time."""


class Names:
    """A resolver. `lookups_max` bounds the threads that hang at the same time."""

    def __init__(self, *, lookups_max: int = 16) -> None:
        self._lookups_max = lookups_max
        self._under_way: dict[str, asyncio.Future[tuple[Address, ...]]] = {}

    async def addresses(self, host: str) -> tuple[Address, ...]:
        """The addresses of a host, in the resolver's order; a literal address is its own answer.

        Raises:
            OSError: the name cannot be resolved, or too many lookups hang already.
        """
        if (address := literal(host)) is not None:
            return (address,)
        lookup = self._under_way.get(host)
        if lookup is None:
            lookup = self._begin(host)
        return await asyncio.shield(lookup)

    def _begin(self, host: str) -> asyncio.Future[tuple[Address, ...]]:
        if len(self._under_way) >= self._lookups_max:
            raise OSError(f"{self._lookups_max} lookups of other names hang")
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[tuple[Address, ...]] = loop.create_future()
        self._under_way[host] = lookup
        lookup.add_done_callback(lambda done: self._end(host, done))
        threading.Thread(target=_look_up, args=(host, loop, lookup), name="pitcrew-resolve", daemon=True).start()
        return lookup

    def _end(self, host: str, lookup: asyncio.Future[tuple[Address, ...]]) -> None:
        self._under_way.pop(host, None)
        if not lookup.cancelled():
            lookup.exception()  # Whoever asked may have left at the deadline; nobody else needs to hear of it.


def _look_up(host: str, loop: asyncio.AbstractEventLoop, lookup: asyncio.Future[tuple[Address, ...]]) -> None:
    answer: tuple[Address, ...] | OSError
    try:
        answer = _resolve(host)
    except OSError as error:
        answer = error
    except UnicodeError:  # A label that is empty or over 63 characters cannot be put into a question at all.
        answer = OSError("not a name that DNS knows")
    try:
        loop.call_soon_threadsafe(_settle, lookup, answer)
    except RuntimeError:
        return  # The loop was closed meanwhile, and with it all who asked.


def _resolve(host: str) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(info[4][0]) for info in found)
    addresses = [address for text in texts if (address := literal(text)) is not None]
    return tuple(addresses)


def _settle(lookup: asyncio.Future[tuple[Address, ...]], answer: tuple[Address, ...] | OSError) -> None:
    if lookup.done():
        return
    if isinstance(answer, OSError):
        lookup.set_exception(answer)
    else:
        lookup.set_result(answer)
