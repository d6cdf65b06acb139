"""How often one client may ask: a bucket per client that fills up with time (the token bucket of rate limiters)."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock


class Buckets:
    """One bucket per client, full at first sight; of many clients the one that was quiet longest is forgotten first.

    May be used in any thread.
    """

    def __init__(self, *, per_s: float, burst: int, clients_max: int, monotonic: Callable[[], float]) -> None:
        self._per_s, self._burst, self._clients_max, self._monotonic = per_s, burst, clients_max, monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def wait_s(self, client: str) -> float:
        """Take one; 0 where there was one, else the seconds until there is."""
        with self._lock:
            now = self._monotonic()
            left, at = self._left.pop(client, (float(self._burst), now))
            left = min(float(self._burst), left + (now - at) * self._per_s)
            taken = left >= 1
            self._left[client] = (left - 1 if taken else left, now)
            while len(self._left) > self._clients_max:
                self._left.popitem(last=False)
        return 0.0 if taken else (1 - left) / self._per_s
