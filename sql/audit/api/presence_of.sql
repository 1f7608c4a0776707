-- Null for whom the summary might not show all that the log shows: then every partition counts.
create or replace function audit.presence_of(
  account_id text,
  item_type text default '',
  item_id text default ''
)
  returns table (lower_bound timestamptz, upper_bound timestamptz, rows bigint)
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
begin
  if not has_table_privilege('audit.presence', 'select')
    or not has_table_privilege('audit.closed_partition', 'select') then
    return;
  end if;
  -- Others may be shown rows of the log by a policy that somebody added, which presence lacks; and
  -- with such a policy there, presence shows nothing.
  if row_security_active('audit.presence')
    and (audit.has_own_policies()
      or coalesce(not pg_has_role(to_regrole('audit_exporter'), 'usage'), true)
        and (coalesce(not pg_has_role(to_regrole('audit_reader'), 'usage'), true)
          or presence_of.account_id <> coalesce(current_setting('audit.account_id', true), '')))
  then
    return;
  end if;
  return query
    select c.lower_bound, c.upper_bound, coalesce(p.rows, 0)
    from audit.closed_partition as c
    left join audit.presence as p
      on p.partition = c.partition
      and p.account_id = presence_of.account_id
      and p.item_type = presence_of.item_type
      and p.item_id = presence_of.item_id;
end;
$$;

comment on function audit.presence_of(text, text, text) is
  'Public. How many rows of an account, or of one item of it, each closed partition has. '
  'Partitions that are not named may have rows.';
