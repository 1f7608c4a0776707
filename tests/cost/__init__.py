"""What auditing costs, and the programs that measure it."""
