"""What can end a command: it could not be done, and why."""


class CannotError(Exception):
    """Nothing was done, or not all of it. The message names the place, the fact and the remedy. Exit code 1."""
