-- Row security of the log, on the parent and on each partition alike: a partition can be read by
-- its own name, and then the parent's policies do not count.
create or replace function audit.protect(relation regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_ddl text;
begin
  if not (select c.relrowsecurity from pg_class as c where c.oid = protect.relation) then
    execute format('alter table %s enable row level security', audit.name_of(protect.relation));
  end if;
  if not exists (select from pg_policy as p
                 where p.polrelid = protect.relation and p.polname = 'account_policy') then
    -- The setting is empty where nobody set it, and so is the account where there are no tenants.
    execute format(
      'create policy account_policy on %s for select '
      'using (account_id = coalesce(current_setting(''audit.account_id'', true), ''''))',
      audit.name_of(protect.relation));
  end if;
  if to_regrole('audit_exporter') is not null
    and not exists (select from pg_policy as p
                    where p.polrelid = protect.relation and p.polname = 'exporter_policy') then
    execute format('create policy exporter_policy on %s for select to audit_exporter using (true)',
      audit.name_of(protect.relation));
  end if;
  -- Compiled functions write to the log itself, and PostgreSQL finds the partition.
  if to_regrole('audit_writer') is not null and protect.relation = 'audit.log'::regclass
    and not exists (select from pg_policy as p
                    where p.polrelid = protect.relation and p.polname = 'writer_policy') then
    create policy writer_policy on audit.log for insert to audit_writer with check (true);
  end if;
  -- What a DBA added to the log, such as a role that sees one account whatever it sets.
  for v_ddl in
    select audit.policy_ddl(p.oid, protect.relation)
    from pg_policy as p
    where p.polrelid = 'audit.log'::regclass and p.polname <> 'writer_policy'
      and not exists (select from pg_policy as o
                      where o.polrelid = protect.relation and o.polname = p.polname)
  loop
    execute v_ddl;
  end loop;
end;
$$;

revoke all on function audit.protect(regclass) from public;

comment on function audit.protect(regclass) is
  'Gives the log, or a partition of it, its row security.';
