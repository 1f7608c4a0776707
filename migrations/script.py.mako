"""${message}."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision: str = "${up_revision}"
down_revision: str | None = ${'"%s"' % down_revision if down_revision else None}
branch_labels: tuple[str, ...] | None = ${branch_labels}
depends_on: str | None = ${'"%s"' % depends_on if depends_on else None}

HERE = Path(__file__)


def upgrade() -> None:
    op.execute(HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(HERE.with_suffix(".down.sql").read_text(encoding="utf-8"))
