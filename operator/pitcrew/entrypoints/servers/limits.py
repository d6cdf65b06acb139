"""The bounds of a server, each with its unit and reason, and the bucket that bounds how often one client asks."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one server gives its clients."""

    body_bytes_max: int = 1 << 20
    """Bytes of a request's body; a case with all its evidence has a tenth of that."""
    head_bytes_max: int = 16 * 1024
    """Bytes of a request's line and headers; a token and an Origin take 200."""
    head_s: float = 10.0
    """Seconds from the connection, or the answer before, until the headers are complete."""
    body_s: float = 10.0
    """Seconds until the body is complete."""
    request_s: float = 30.0
    """Seconds until the answer is complete; the slowest call waits for an engine, which has 5."""
    idle_s: int = 5
    """Seconds that a connection is kept without a request; the Driver asks every two."""
    connections_max: int = 64
    """Connections at once; three roles and a dozen people use 20. One more is told 503."""
    requests_max: int = 32
    """Requests at once; their bodies together bound the memory. One more is told 503."""
    rate_per_s: float = 50.0
    """Requests a second of one client in the long run; a Driver of a hundred services looks 50 times."""
    burst: int = 100
    """Requests of one client at once."""
    clients_max: int = 1024
    """Clients whose rate is remembered; the one that was quiet longest is forgotten first."""


DEFAULT = Limits()


class Buckets:
    """A bucket of tokens per client (the algorithm, not bearer tokens); full at first sight."""

    def __init__(self, *, per_s: float, burst: int, clients_max: int, monotonic: Callable[[], float]) -> None:
        self._per_s, self._burst, self._clients_max, self._monotonic = per_s, burst, clients_max, monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take one; 0 where there was one, else the seconds until there is."""
        now = self._monotonic()
        left, at = self._left.pop(client, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        taken = left >= 1
        self._left[client] = (left - 1 if taken else left, now)
        while len(self._left) > self._clients_max:
            self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s
