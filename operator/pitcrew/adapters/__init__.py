"""One folder per port, one module per technology. An adapter imports the core, the ports and its own SDK only."""
