"""The Official of another process, over HTTP."""
