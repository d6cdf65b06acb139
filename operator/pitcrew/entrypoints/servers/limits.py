"""The bounds of a server, each with its unit and reason."""

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
