-- The settings that the compiled functions of a table pin: for the values of its columns, and for
-- what its expressions make of times. A function that shows whole rows runs in UTC, which costs less
-- than to convert each time; one that shows what changed seldom has a time to show.
create or replace function audit.settings_for(t audit.tracked, whole_rows boolean)
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with expression as (
    select e.text
    from unnest(array[t.item_id, t.item_label, t.account, t.accounts, t.parent_id, t.part_name]
      || array(select r ->> 'when' from jsonb_array_elements(t.actions) as r)) as e (text)
    where e.text is not null
  ), used as (
    select c.declared_type as type
    from expression as e
    cross join lateral audit.names_in(e.text) as n
    join audit.columns_of(t.target) as c on n in (c.name, 'old.' || c.name, 'new.' || c.name)
    union
    select c.declared_type
    from audit.lookups_of(t) as l
    join audit.columns_of(l.target) as c on c.name = any (l.columns || l.key_column)
  )
  select coalesce(array_agg(distinct s.setting order by s.setting), '{}')
  from (
    select unnest(audit.settings_of(array(
        select c.declared_type from audit.columns_of(t.target) as c
        where c.name <> all (t.operational))
      || array(select u.type from used as u))) as setting
    union all
    select 'timezone = ''UTC'''
    where whole_rows and exists (select from audit.columns_of(t.target) as c
      where c.name <> all (t.operational) and c.type = 'timestamptz'::regtype)
    union all
    -- The text of a whole row, unlike its JSON, has dates as the session likes them.
    select 'datestyle = ''ISO'''
    where whole_rows and exists (select from audit.columns_of(t.target) as c
      where c.name <> all (t.operational) and audit.element_of(c.type) in (
        'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype))
    union all
    select unnest(array['timezone = ''UTC''', 'datestyle = ''ISO'''])
    where exists (select from used as u where u.type in ('timestamptz'::regtype,
      'timestamp'::regtype, 'date'::regtype, 'timetz'::regtype))
  ) as s
$$;

revoke all on function audit.settings_for(audit.tracked, boolean) from public;

comment on function audit.settings_for(audit.tracked, boolean) is
  'The settings that the compiled functions of a table pin; more where they show whole rows.';
