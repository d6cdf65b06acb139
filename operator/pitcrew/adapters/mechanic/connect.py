"""The Mechanics of other processes, joined behind the ports."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.breaker import BreakerState
from pitcrew.adapters.mechanic.client import MechanicClient
from pitcrew.adapters.mechanic.remote import RemoteMechanic, RemoteObserver, RemoteRuntime
from pitcrew.adapters.mechanic.routed import RoutedMechanic, RoutedObserver, RoutedRuntime
from pitcrew.core.errors import InvalidInput
from pitcrew.core.resource import TargetKind
from pitcrew.ports import Clock


@dataclass(frozen=True, kw_only=True)
class Mechanics:
    """Every configured Mechanic behind the three ports; `clients` by the Mechanic's name."""

    runtimes: Mapping[TargetKind, RoutedRuntime]
    observer: RoutedObserver
    mechanic: RoutedMechanic
    clients: Mapping[str, MechanicClient]

    @property
    def states(self) -> Mapping[str, BreakerState]:
        """Where the circuit breaker of each Mechanic stands."""
        return {name: client.state for name, client in self.clients.items()}

    async def close(self) -> None:
        """Let go of every connection; closing the runtimes does the same."""
        for client in self.clients.values():
            await client.close()


def connect(mechanics: Mapping[str, str], token_file: Path | None, clock: Clock) -> Mechanics:
    """Adapters to the Mechanics at these addresses, by name, such as `default` at http://127.0.0.1:7301. Nothing is
    asked yet: one that is away is Unknown.

    Raises:
        InvalidInput: an address is no http or https address.
    """
    clients = {
        name: MechanicClient(name=name, url=_checked(name, url), token_file=token_file)
        for name, url in mechanics.items()
    }
    return Mechanics(
        runtimes={
            kind: RoutedRuntime(
                kind=kind,
                runtimes={name: RemoteRuntime(kind=kind, client=client) for name, client in clients.items()},
            )
            for kind in TargetKind
        },
        observer=RoutedObserver(
            observers={name: RemoteObserver(client=client, clock=clock) for name, client in clients.items()},
            clock=clock,
        ),
        mechanic=RoutedMechanic(mechanics={name: RemoteMechanic(client=client) for name, client in clients.items()}),
        clients=clients,
    )


def _checked(name: str, url: str) -> str:
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest.strip("/") or any(char in rest for char in "@?#") or " " in rest:
        raise InvalidInput(f"--mechanic {name}={url!r}: give an address such as {name}=http://127.0.0.1:7301")
    return url.rstrip("/")
