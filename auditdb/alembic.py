"""Alembic for tables of your own: in env.py, `from auditdb.alembic import context`."""

from auditdb._tracking import autogenerate as _autogenerate  # noqa: F401 (registers the comparison)
from auditdb._tracking import migration_context as context
from auditdb._tracking.operations import TrackTableOp, UntrackTableOp

__all__ = ["TrackTableOp", "UntrackTableOp", "context"]
