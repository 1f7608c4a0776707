"""What triggers write: the actions, conformance, oracles, security."""
