"""Runs the command line as `python -m auditdb`."""

from auditdb._cli.app import main

main()
