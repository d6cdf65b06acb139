"""One folder per port, one module per technology. An adapter knows its port and the core, never another adapter."""
