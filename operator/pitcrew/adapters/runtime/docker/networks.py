"""Attaching a container to a network of the engine, and detaching it, live."""

from collections.abc import Mapping, Sequence

from pitcrew.adapters.runtime.docker.engine import Session, checked, url
from pitcrew.adapters.runtime.docker.facts import Inspected
from pitcrew.adapters.runtime.docker.wire import READ_S
from pitcrew.core.action import ConnectNetwork, DisconnectNetwork, Seen
from pitcrew.core.errors import Refused


def notes_of(session: Session, seen: Inspected, action: ConnectNetwork | DisconnectNetwork) -> Mapping[str, str]:
    """The network's id, found before the effect.

    Raises:
        Refused: the engine has none or several of that name (S11), or the container is attached or not, already.
    """
    found = [each for each in session.client.networks(names=[action.network]) if each.get("Name") == action.network]
    if len(found) != 1:
        raise Refused(f"the engine has {len(found)} networks named {action.network}, and one is needed")
    wanted = isinstance(action, DisconnectNetwork)
    if _is_attached(seen, action.network) is not wanted:
        raise Refused(f"{seen.name} is {'not ' if wanted else ''}attached to {action.network}")
    return {"network": str(found[0]["Id"])}


def connect(session: Session, network_id: str, container_id: str, aliases: Sequence[str]) -> None:
    """Attach; what the engine answers with an error is raised as docker's APIError."""
    body = {"Container": container_id, "EndpointConfig": {"Aliases": list(aliases)}}
    checked(session.client.post(url(session.client, "networks", network_id, "connect"), json=body, timeout=READ_S))


def disconnect(session: Session, network_id: str, container_id: str) -> None:
    """Detach; raises as `connect`."""
    body = {"Container": container_id, "Force": False}
    checked(session.client.post(url(session.client, "networks", network_id, "disconnect"), json=body, timeout=READ_S))


def verdict(seen: Inspected, action: ConnectNetwork | DisconnectNetwork) -> Seen:
    """What the container's attachments say of an effect whose answer was lost."""
    attached = _is_attached(seen, action.network)
    if isinstance(action, DisconnectNetwork):
        return Seen.NOT_DONE if attached else Seen.DONE
    if not attached:
        return Seen.NOT_DONE
    aliases = set(seen.sequence("NetworkSettings", "Networks", action.network, "Aliases"))
    return Seen.DONE if aliases.issuperset(action.aliases) else Seen.UNKNOWN


def _is_attached(seen: Inspected, network: str) -> bool:
    return network in seen.part("NetworkSettings", "Networks")
