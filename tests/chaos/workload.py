"""A service of two processes that do nothing, as a server and its worker would be two; both end on SIGTERM."""

import os
import signal


def end_all(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.killpg(0, signal.SIGTERM)


signal.signal(signal.SIGTERM, end_all)
os.fork()
while True:
    signal.pause()
