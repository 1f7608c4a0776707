-- After DDL the declaration follows: renamed columns get their new names, dropped ones leave.
create or replace function audit.follow_columns(t audit.tracked)
  returns audit.tracked
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_renamed jsonb;
  v_names jsonb;
  v_dropped text[];
  v_gone text[];
begin
  with now as (
    select c ->> 'alias' as alias, c ->> 'name' as name, a.attname as new_name
    from jsonb_array_elements(t.columns) as c
    left join pg_attribute as a
      on a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0 and not a.attisdropped
      -- A restored table is another one, with columns numbered anew: there the names hold.
      and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
        else a.attname = c ->> 'name' end
  )
  select
      coalesce(jsonb_object_agg(n.name, n.new_name)
        filter (where n.alias is null and n.new_name <> n.name), '{}'),
      coalesce(jsonb_object_agg(concat_ws('.', n.alias, n.name),
        concat_ws('.', quote_ident(n.alias), quote_ident(n.new_name)))
        filter (where n.new_name <> n.name), '{}'),
      coalesce(array_agg(n.name) filter (where n.alias is null and n.new_name is null), '{}')
    into v_renamed, v_names, v_dropped
    from now as n;

  select v_names
      || coalesce(jsonb_object_agg('old.' || e.key, 'old.' || quote_ident(e.value)), '{}')
      || coalesce(jsonb_object_agg('new.' || e.key, 'new.' || quote_ident(e.value)), '{}')
    into v_names from jsonb_each_text(v_renamed) as e;
  t.item_id := audit.rewrite_expression(t.item_id, v_names);
  t.item_label := audit.rewrite_expression(t.item_label, v_names);
  t.account := audit.rewrite_expression(t.account, v_names);
  t.accounts := audit.rewrite_expression(t.accounts, v_names);
  t.parent_id := audit.rewrite_expression(t.parent_id, v_names);
  t.part_name := audit.rewrite_expression(t.part_name, v_names);
  t.operational := audit.follow_names(t.operational, v_renamed, v_dropped);
  t.secret := audit.follow_names(t.secret, v_renamed, v_dropped);
  t.actions := audit.follow_rules(t.actions, v_renamed, v_names, v_dropped);
  -- A lookup goes with its column, with the table that it leads to, and with the lookup before it.
  with recursive gone (alias) as (
    select e.key
    from jsonb_each_text(t.lookups) as e
    where e.value = any (v_dropped) or exists (
      select from jsonb_array_elements(t.columns) as c
      where c ->> 'alias' = e.key
        and not exists (select from pg_class as r where r.oid = t.tables[(c ->> 'table')::int]))
    union
    select e.key from gone as g
    join jsonb_each_text(t.lookups) as e on starts_with(e.value, g.alias || '.')
  )
  select coalesce(array_agg(g.alias), '{}') into v_gone from gone as g;
  select coalesce(jsonb_object_agg(e.key, coalesce(v_renamed ->> e.value, e.value)), '{}')
    into t.lookups from jsonb_each_text(t.lookups) as e where e.key <> all (v_gone);
  if t.item_label is not null
    and exists (
      select from audit.names_in(t.item_label) as n
      where n = any (v_dropped) or split_part(n, '.', 1) = any (v_gone) or n = any (
        select concat_ws('.', c ->> 'alias', c ->> 'name')
        from jsonb_array_elements(t.columns) as c
        where c ->> 'alias' is not null and not exists (
          select from pg_attribute as a
          where a.attrelid = t.tables[(c ->> 'table')::int] and a.attnum > 0
            and not a.attisdropped
            and case when a.attrelid::text = c ->> 'relation'
              then a.attnum = (c ->> 'number')::int else a.attname = c ->> 'name' end)))
  then
    t.item_label := null;
  end if;
  return t;
end;
$$;

revoke all on function audit.follow_columns(audit.tracked) from public;

comment on function audit.follow_columns(audit.tracked) is
  'The declaration with the names that the columns have now.';
