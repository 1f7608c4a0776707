"""Which columns the log has, for those who check that an export and a log fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_COLUMNS = """
select a.attname::pg_catalog.text
from pg_catalog.pg_attribute as a
where a.attrelid operator(pg_catalog.=) 'audit.log'::pg_catalog.regclass
  and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
order by a.attnum
"""


def names(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the names of the columns of audit.log, in their order."""
    return [name for (name,) in connection.execute(_COLUMNS).fetchall()]
