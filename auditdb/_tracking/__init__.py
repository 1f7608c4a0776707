"""Declarations of tables in Python, and in Alembic's migrations."""
