"""Local processes as targets (Linux: it needs /proc, pidfds and a child subreaper).

`shim` is a program of its own and the only parent of a workload; `home` is what PitCrew and the shim share on disk and
the protocol between them; `facts` reads a record into facts; `inside` touches files under a working directory;
`commands` runs probes; `runtime` and `actuator` are the two halves of the port. Nothing here but the shim starts or
ends a workload.
"""

from pitcrew.adapters.runtime.process.actuator import ProcessActuator
from pitcrew.adapters.runtime.process.runtime import ProcessRuntime

__all__ = ["ProcessActuator", "ProcessRuntime"]
