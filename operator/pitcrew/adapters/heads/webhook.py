"""Heads by webhook: the same rules and the same signature as for transitions, to an address of its own."""

import json

import httpx

from pitcrew.adapters.webhook.signed import SignedPost
from pitcrew.core.errors import Unavailable

SCHEMA = 1
TRY_S = 10.0


class HeadWebhook:
    """Posts heads; with a `key` each is signed. Raises InvalidInput where the address cannot be used."""

    def __init__(
        self, address: str, *, key: bytes | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._post = SignedPost(address, "head_webhook", key=key, transport=transport)
        self.name = self._post.place

    async def send(self, line: str) -> None:
        """Post one head.

        Raises:
            Unavailable: it was not taken.
        """
        body = json.dumps({"schema": SCHEMA, "event": "JournalHead", "text": line}).encode()
        failure, _ = await self._post.once(body, deadline_s=TRY_S)
        if failure:
            raise Unavailable(failure)

    async def close(self) -> None:
        """Let go of connections."""
        await self._post.close()
