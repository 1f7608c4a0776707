"""What auditing costs, measured so that anyone can repeat it."""
