"""The log and all that writes it."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision: str = "audit_0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = ("audit",)
depends_on: str | None = None

HERE = Path(__file__)
KIND = r"(?:unlogged )?(?:function|table|view|type)"
MADE = re.compile(rf"^(?:create(?: or replace)?|comment on) {KIND} audit\.(\w+)", re.MULTILINE)


def upgrade() -> None:
    op.execute(HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    made = MADE.findall(HERE.with_suffix(".up.sql").read_text(encoding="utf-8"))
    names = ", ".join(f"'{name}'" for name in sorted(set(made)))
    script = HERE.with_suffix(".down.sql").read_text(encoding="utf-8")
    op.execute(script.replace("/* made */", names))
