"""The STOP file: while it exists, nothing new is done (S15)."""

import os
from dataclasses import dataclass
from pathlib import Path

NAME = "STOP"


@dataclass(frozen=True, kw_only=True, slots=True)
class StopFile:
    """Whether a person stopped PitCrew, asked anew at each call; what cannot be told counts as stopped (S9)."""

    state: Path

    def set(self, text: str) -> None:
        """Write the file, with who and why in it. Raises OSError where it cannot be written."""
        descriptor = os.open(self.state / NAME, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(descriptor)

    def clear(self) -> None:
        """Remove the file. Raises OSError where it stays."""
        (self.state / NAME).unlink(missing_ok=True)

    def __call__(self) -> bool:
        """True where `STATE/STOP` exists, as whatever kind of file, or where the state directory cannot be searched."""
        try:
            os.lstat(self.state / NAME)
        except FileNotFoundError:
            return not self.state.is_dir()
        except OSError:
            return True
        return True
