"""A stop that holds even where no file can be written."""

from dataclasses import dataclass, field

from pitcrew.adapters.stop.files import StopFile


@dataclass(kw_only=True, slots=True)
class HeldStop:
    """The STOP file (port `StopSwitch`), for one who is stopped by signal or call. Where the file cannot be
    written, the stop holds until the process ends."""

    file: StopFile
    _held: bool = field(default=False, init=False)

    def set(self, text: str) -> None:
        """Stop at once, and write the file. Raises OSError where it cannot be written; the stop holds nevertheless."""
        self._held = True
        self.file.set(text)
        self._held = False

    def clear(self) -> None:
        """Remove the file. Raises OSError where it stays."""
        self.file.clear()

    def __call__(self) -> bool:
        """Whether a stop holds."""
        return self._held or self.file()
