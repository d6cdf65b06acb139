"""One POST of a JSON document to an address that a person set, signed where both sides hold a key."""

import hashlib
import hmac

import httpx

from pitcrew.adapters.outgoing import Caller, checked_address
from pitcrew.core.errors import Unavailable

SIGNATURE = "X-PitCrew-Signature"
"""`sha256=` and HMAC-SHA-256 of the body in hexadecimal, under the key that both sides hold."""
_TRY_AGAIN = (408, 425, 429)


class SignedPost:
    """Posts to one address; `setting` names it for people. Raises InvalidInput where it cannot be used."""

    def __init__(
        self, address: str, setting: str, *, key: bytes | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._caller = Caller(checked_address(address, setting), transport=transport)
        self._key = key

    @property
    def place(self) -> str:
        """Whom it calls, without what may be secret in the address."""
        return self._caller.place

    async def once(self, message: bytes, *, deadline_s: float) -> tuple[str, bool]:
        """Why one try failed, empty when it did not, and whether another one may help."""
        headers = {"Content-Type": "application/json", "User-Agent": "pitcrew"}
        if self._key is not None:
            headers[SIGNATURE] = f"sha256={hmac.new(self._key, message, hashlib.sha256).hexdigest()}"
        try:
            status = await self._caller.call("POST", deadline_s=deadline_s, content=message, headers=headers)
        except Unavailable as error:
            return str(error), True
        if 200 <= status < 300:
            return "", False
        return f"{self.place}: status {status}", status >= 500 or status in _TRY_AGAIN

    async def close(self) -> None:
        """Let go of connections."""
        await self._caller.close()
