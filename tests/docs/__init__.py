"""The pages are true: their blocks run, their names exist."""
