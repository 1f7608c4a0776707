-- The guard of the log: rows are added, never changed, also not by the owner. What an import brought
-- leaves while audit.undo_import() undoes it.
create or replace function audit.refuse_change()
  returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' then
    if old.era < 0 and exists (
      select from audit.era as e
      where e.number = -old.era and e.kind = 'undone' and e.is_open)
    then
      return old;
    end if;
  end if;
  raise exception '% of %.% refused: the log is append-only',
    lower(tg_op), quote_ident(tg_table_schema), quote_ident(tg_table_name)
    using errcode = 'UA004',
      hint = 'Rows leave the log only with their whole partition, detached by its owner.';
end;
$$;

revoke all on function audit.refuse_change() from public;

comment on function audit.refuse_change() is
  'Trigger that refuses UPDATE, DELETE and TRUNCATE of the log.';

-- Row triggers are cloned to every partition, the one on TRUNCATE is not: maintain() adds it there.
create trigger refuse_change
  before update or delete on audit.log
  for each row execute function audit.refuse_change();

alter table audit.log enable always trigger refuse_change;

create trigger refuse_truncate
  before truncate on audit.log
  for each statement execute function audit.refuse_change();

alter table audit.log enable always trigger refuse_truncate;
