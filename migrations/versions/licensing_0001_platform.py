"""The core tables of a licensing platform, with their actions."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "licensing_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("licensing",)
depends_on: str | None = "audit_0001"

HERE = Path(__file__)


def upgrade() -> None:
    op.execute(HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
