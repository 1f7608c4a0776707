-- A row that comes into a closed partition (an import, a correction by the owner) is in no summary:
-- readers look into the partition again, and maintenance closes it anew.
create or replace function audit.reopen_partition()
  returns trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from audit.closed_partition as c where c.partition = tg_table_name) then
    delete from audit.closed_partition as c where c.partition = tg_table_name;
  end if;
  return new;
end;
$$;

revoke all on function audit.reopen_partition() from public;

comment on function audit.reopen_partition() is
  'Trigger that takes a partition off the list of the closed ones when a row comes into it.';
