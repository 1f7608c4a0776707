"""Runs the command line as `python -m auditdb`."""

from auditdb.cli import main

main()
