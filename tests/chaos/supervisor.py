"""Plays the small parent of a supervised process: PIDFILE EXITFILE COMMAND...

It starts the command in a session of its own, writes the pidfile, records the exit, and ends.
"""

import subprocess
import sys
from pathlib import Path

pidfile, exitfile, *command = sys.argv[1:]
child = subprocess.Popen(command, start_new_session=True)
fresh = Path(f"{pidfile}.new")
fresh.write_text(f"{child.pid}\n", encoding="ascii")
fresh.replace(pidfile)
Path(exitfile).write_text(f"{child.wait()}\n", encoding="ascii")
