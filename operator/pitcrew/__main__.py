"""`python -m pitcrew` is the command `pitcrew`."""

from pitcrew.entrypoints.cli import main

if __name__ == "__main__":
    main()
