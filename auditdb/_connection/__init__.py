"""The connections that applications have: which kind one is, and statements run through any."""
