-- A row deleted by its parent's deletion: inside the cascade the parent is already invisible.
create or replace function audit.cascade_test(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with known as materialized (select audit.row_names(t, old_side) as names)
  select coalesce(string_agg(format('(%s%s and %s)',
      (select string_agg(v || ' is not null', ' and ' order by n)
       from unnest(f.vals) with ordinality as u (v, n)),
      -- A row that is its own parent goes by itself.
      case when f.target = t.target
          and not exists (select from unnest(f.types) as y where not audit.is_builtin(y)) then (
        select format(' and not (%s)', string_agg(format('%s %s %s', k.names ->> p.name, p.operator,
          p.value), ' and ' order by p.n))
        from known as k
        cross join unnest(f.parent_columns, f.operators, f.vals)
          with ordinality as p (name, operator, value, n)
        group by k.names) end,
      case when f.reader = 'inline'
        then audit.parent_query(f.target, f.parent_columns, f.operators, f.vals, f.types)
        else format('audit.%I(%s)', f.name, array_to_string(f.vals, ', ')) end),
    E'\n      or ' order by f.number), 'false')
  from (
    select c.*, array(
        select n.names ->> u.name from unnest(c.columns) with ordinality as u (name, place)
        order by u.place) as vals
    from audit.cascades_of(t) as c
    cross join known as n
  ) as f
$$;

revoke all on function audit.cascade_test(audit.tracked, text) from public;

comment on function audit.cascade_test(audit.tracked, text) is
  'SQL that says whether an old row went with its parent, by a foreign key ON DELETE CASCADE.';
