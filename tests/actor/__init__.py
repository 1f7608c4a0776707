"""The actor of a context and of a transaction, and the middleware."""
