"""Migrations, installation, maintenance, check, backups."""
