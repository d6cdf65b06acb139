"""The id of a state directory, so that its heads are told from those of others. No secret, and no proof of anything."""

import re
import secrets
from pathlib import Path

from pitcrew.adapters.durable import replace

_ID = re.compile(r"[0-9a-f]{16}")


def state_id(state: Path) -> str:
    """The id, made where there is none. Raises OSError."""
    if known := read_state_id(state):
        return known
    replace(state / "id", f"{secrets.token_hex(8)}\n".encode(), mode=0o644)
    return read_state_id(state)


def read_state_id(state: Path) -> str:
    """The id; empty where there is none that can be read."""
    try:
        text = (state / "id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return text if _ID.fullmatch(text) else ""
