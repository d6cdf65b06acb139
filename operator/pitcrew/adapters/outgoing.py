"""Calls to addresses that a person set: one request under a wall-clock deadline, no redirect followed, no body read.

An address may hold a secret, so that only its host is ever shown. Proxies of the environment are not used. Names are
resolved as the prober resolves them, so that a resolver that hangs holds up neither the loop nor the end.
"""

import asyncio
from collections.abc import Mapping

import httpx

from pitcrew.adapters.prober.names import ADDRESSES_MAX, Names
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.core.untrusted import clean

_WHY_BYTES_MAX = 200


def checked_address(address: str, setting: str) -> httpx.URL:
    """The address as a URL. Raises InvalidInput, naming the setting, for anything but http and https with a host."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidInput(
            f"setting {setting}: not an http or https address with a host; such as https://example.org/x"
        )
    return url


class Caller:
    """Calls one address; `transport` carries the requests."""

    def __init__(self, url: httpx.URL, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._names = Names(lookups_max=1)
        self._client = httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=None, limits=_ONE_AT_A_TIME
        )

    @property
    def place(self) -> str:
        """Whom it calls, without what may be secret in the address."""
        return clean(f"{self._url.scheme}://{self._url.host}", _WHY_BYTES_MAX)

    async def call(
        self, method: str, *, deadline_s: float, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> int:
        """One request; the status of its answer.

        Raises:
            Unavailable: there was no answer within the deadline, with the reason.
        """
        try:
            async with asyncio.timeout(deadline_s):
                return await self._ask(method, content, {**(headers or {}), "Host": self._url.netloc.decode()})
        except TimeoutError:
            raise Unavailable(f"{self.place}: no answer within {deadline_s:g} s") from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            why = clean(str(error).replace(str(self._url), self.place), _WHY_BYTES_MAX) or type(error).__name__
            raise Unavailable(f"{self.place}: {why}") from None

    async def _ask(self, method: str, content: bytes, headers: Mapping[str, str]) -> int:
        """Ask the first address of the host that takes a connection."""
        trouble: Exception = OSError("the name has no address")
        for address in (await self._names.addresses(self._url.host))[:ADDRESSES_MAX]:
            url = self._url.copy_with(host=str(address))
            extensions = {"sni_hostname": self._url.host}
            try:
                async with self._client.stream(
                    method, url, content=content, headers=headers, extensions=extensions
                ) as answer:
                    return answer.status_code
            except httpx.ConnectError as error:
                trouble = error
        raise trouble

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


_ONE_AT_A_TIME = httpx.Limits(max_connections=2, max_keepalive_connections=0)
