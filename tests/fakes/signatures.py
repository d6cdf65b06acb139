"""`Signatures` in memory: keys are made by hand, and a signature is a digest that names its key."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from pitcrew.core.approval import SIGNATURE_BYTES_MAX, SIGNATURE_NAMESPACE, Signer, Unverified
from pitcrew.core.record import digest

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the file of allowed signers."""

    principals: str
    key: str
    before: datetime | None = None
    after: datetime | None = None
    namespaces: str = SIGNATURE_NAMESPACE


@dataclass(kw_only=True)
class FakeSignatures:
    """Verifies what `sign` gave, by `lines`; `broken` is why the file cannot be used."""

    lines: list[Line] = field(default_factory=list)
    broken: str = ""

    @staticmethod
    def sign(key: str, statement: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
        """The signature of a key."""
        return f"{BEGIN}\n{key} {namespace} {_mark(key, namespace, statement)}\n{END}\n"

    async def verify(self, statement: str, signature: str, at: datetime) -> Signer | Unverified:
        """See `pitcrew.ports.Signatures`."""
        words = signature.removeprefix(BEGIN).removesuffix(f"{END}\n").split()
        if len(signature) > SIGNATURE_BYTES_MAX or len(words) != 3:
            return Unverified(reason="it is no armored SSH signature")
        if self.broken:
            return Unverified(reason=self.broken)
        key, namespace, mark = words
        found = next((one for one in self.lines if one.key == key and _stands(one, namespace, at)), None)
        if found is None:
            return Unverified(reason="no allowed signer's key made it, or not at this time")
        if not found.principals.replace("@", "").replace(".", "").isalnum():
            return Unverified(reason=f"its key stands for {found.principals!r}")
        if namespace != SIGNATURE_NAMESPACE or mark != _mark(key, namespace, statement):
            return Unverified(reason="it is not over this decision")
        fingerprint = base64.b64encode(hashlib.sha256(key.encode()).digest()).decode().rstrip("=")
        return Signer(principal=found.principals, fingerprint=f"SHA256:{fingerprint}")


def _stands(line: Line, namespace: str, at: datetime) -> bool:
    early = line.after is not None and at < line.after
    late = line.before is not None and at > line.before
    return not (early or late) and line.namespaces == namespace


def _mark(key: str, namespace: str, statement: str) -> str:
    return digest([key, namespace, statement])
