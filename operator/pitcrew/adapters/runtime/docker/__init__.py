"""Docker as a runtime of workloads. The only package that imports the docker SDK.

What lives here: finding the engine (`endpoint`), talking to it under deadlines (`wire`, `breaker`, `engine`), reading
what it answers (`facts`, `frames`, `events`, `stream`), and the two halves of the port (`reading`, `commands`,
`acting`, `undo`). What must not: deciding anything. Facts are reported by the rules of the engine; what follows from
them is the core's. The reading half changes nothing but ends commands that it started itself.
"""
