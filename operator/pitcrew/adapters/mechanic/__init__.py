"""The Mechanic as others reach it: `routed` chooses one by the target's name for it, `client` and `remote` speak MCP to
one in another process, `connect` builds all of it, and `wire` is what both ends say.

Nothing here verifies a seal or a permit: what a Mechanic saw is passed on to the Official, which does.
"""
