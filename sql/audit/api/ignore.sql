-- The decision that a table is not tracked, so that audit.check() tells of it no more.
create or replace function audit.ignore(target regclass, is_ignored boolean default true)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  -- Of tables that are gone nothing is left.
  delete from audit.ignored as i
    where not exists (select from pg_class as c where c.oid = i.target);
  if not ignore.is_ignored then
    delete from audit.ignored as i where i.target = ignore.target;
  else
    insert into audit.ignored as i (target) values (ignore.target)
      on conflict on constraint ignored_pkey do nothing;
  end if;
  return case when not found then 'unchanged' when ignore.is_ignored then 'ignored' else 'told' end;
end;
$$;

revoke all on function audit.ignore(regclass, boolean) from public;

comment on function audit.ignore(regclass, boolean) is
  'Public. Says that a table is not tracked on purpose, or no longer so; returns ignored, told or '
  'unchanged.';
