"""The STOP file: while it exists, nothing new is done (S15)."""

import os
from dataclasses import dataclass
from pathlib import Path

NAME = "STOP"


@dataclass(frozen=True, kw_only=True, slots=True)
class StopFile:
    """Whether a person stopped PitCrew, asked anew at each call; what cannot be told counts as stopped (S9)."""

    state: Path

    def __call__(self) -> bool:
        """True where `STATE/STOP` exists, as whatever kind of file, or where the state directory cannot be searched."""
        try:
            os.lstat(self.state / NAME)
        except FileNotFoundError:
            return not self.state.is_dir()
        except OSError:
            return True
        return True
