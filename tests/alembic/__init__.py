"""Tracking through Alembic's migrations."""
