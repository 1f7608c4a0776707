-- TRUNCATE of a tracked table: one row of the log for each table, or a refusal.
create or replace function audit.log_truncate()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
declare
  v_table text := format('%I.%I', tg_table_schema, tg_table_name);
begin
  -- A partition that was detached is no longer part of what is tracked.
  if not exists (select from pg_inherits as i where i.inhrelid = tg_relid)
    and not exists (select from audit.tracked as k where k.target = tg_relid)
  then
    return null;
  end if;
  if tg_argv[0] = 'refuse' then
    raise exception 'truncate of % refused: it is declared so', v_table
      using errcode = 'UA007',
        hint = 'Delete the rows, or declare the table with on_truncate => ''log''.';
  end if;
  perform audit.write_table_event('table_truncated', v_table, null,
    nullif(tg_argv[1], v_table));
  return null;
end;
$$;

revoke all on function audit.log_truncate() from public;

comment on function audit.log_truncate() is 'Trigger that logs or refuses TRUNCATE.';
