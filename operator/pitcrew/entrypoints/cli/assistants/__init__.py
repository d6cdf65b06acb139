"""`pitcrew mcp`: what assistants are shown of a state directory, and the one thing they may propose.

`shown` holds the typed results, `reading` fills them from the state directory, `server` offers them over MCP. Reading
changes nothing; `propose` asks the running operator, which records and weighs it. Nothing here acts or approves.
"""
