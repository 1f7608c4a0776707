"""The actor of a context, and how it gets into each transaction."""
