"""`python chaos/chaos.py`: the same as `python -m chaos`, from any directory."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # A script's own directory comes first on the path, where this file would hide the package of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from chaos.cli import main

    sys.exit(main(sys.argv[1:]))
