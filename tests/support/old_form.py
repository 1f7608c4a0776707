"""The form in which created and deleted rows were kept before records: `changes` as jsonb."""

import psycopg

# The one function that makes a record of a row: without it, the changes are kept instead.
OLD_FORM = """
create or replace function audit.row_record(t audit.tracked, side text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$ select null::text $$;
select audit.refresh();
"""


def keep_old_form(session: psycopg.Connection) -> None:
    """Compile all tables, now and later, so that their rows are written in the old form."""
    session.execute(OLD_FORM)
