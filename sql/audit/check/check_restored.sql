-- What a restore leaves: triggers whose declarations were not in the dump, and compiled functions that
-- know the tables by the numbers of another database.
create or replace function audit.check_restored()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select 'declaration_missing', 'error', audit.name_of(g.tgrelid),
    'The table has triggers of a declaration that is gone, as after a restore of the schema alone: '
      'writes fail, or are missed.',
    format('select audit.track(%L, ...);', audit.name_of(g.tgrelid))
  from pg_trigger as g
  join pg_proc as p on p.oid = g.tgfoid and p.pronamespace = 'audit'::regnamespace
  where g.tgname ~ '^_audit_(insert|update|delete)$'
    and not exists (
      select from audit.tracked as k
      where k.target = g.tgrelid
        or k.target in (select a from pg_partition_ancestors(g.tgrelid) as a))
    and g.tgparentid = 0
  group by g.tgrelid
  union all
  select 'table_restored', 'error', audit.name_of(k.target),
    'The table was restored from another database, and nothing follows its changes yet: writes fail.',
    format('select audit.refresh(%L);', audit.name_of(k.target))
  from audit.tracked as k
  join audit.layout as y on y.id = k.layout
  where y.relation <> k.target and audit.name_of(k.target) is not null and not audit.follows_ddl()
$$;

revoke all on function audit.check_restored() from public;

comment on function audit.check_restored() is
  'Findings: tables whose triggers a restore brought without what they need.';
