"""Alembic for tables of your own: in env.py, `from auditdb.alembic import context`."""

from auditdb import alembic_autogenerate as _autogenerate  # noqa: F401 (registers the comparison)
from auditdb import alembic_context as context
from auditdb.alembic_operations import TrackTableOp, UntrackTableOp

__all__ = ["TrackTableOp", "UntrackTableOp", "context"]
