-- What a policy of the log hides, the summaries of closed partitions must not tell.
create or replace function audit.has_own_policies()
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_policy as p
    where p.polrelid = 'audit.log'::regclass
      and p.polname not in ('account_policy', 'exporter_policy', 'writer_policy'))
$$;

comment on function audit.has_own_policies() is
  'Public. Whether the log has policies besides those that it came with. Then audit.presence and '
  'audit.belonging are for nobody who is under row security.';
