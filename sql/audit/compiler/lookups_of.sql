-- Where each declared lookup leads: the table, its key, and which of its columns are asked for.
create or replace function audit.lookups_of(t audit.tracked)
  returns table (
    depth integer,
    alias text,
    source text,
    source_column text,
    target regclass,
    key_column text,
    key_type oid,
    key_operator text,
    columns text[],
    reader text
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with recursive wanted as (
      select
        e.key as alias,
        case when strpos(e.value, '.') > 0 then split_part(e.value, '.', 1) end as source,
        case when strpos(e.value, '.') > 0 then split_part(e.value, '.', 2) else e.value end as col
      from jsonb_each_text(t.lookups) as e
    ), resolved as (
      select 1 as depth, w.alias, w.source, w.col, k.*
      from wanted as w
      cross join lateral audit.looked_up(t, w.alias, t.target, w.col) as k
      where w.source is null
      union all
      select r.depth + 1, w.alias, w.source, w.col, k.*
      from resolved as r
      join wanted as w on w.source = r.alias
      cross join lateral audit.looked_up(t, w.alias, r.target, w.col) as k
      where r.depth < 8
    )
    select
      r.depth, r.alias, r.source, r.col, r.target, r.key_column, r.key_type, r.key_operator,
      coalesce((
        select array_agg(distinct substr(n, length(r.alias) + 2)
                         order by substr(n, length(r.alias) + 2))
        from unnest(array[t.item_id, t.item_label, t.account, t.parent_id, t.part_name]) as e
        cross join lateral audit.names_in(e) as n
        where starts_with(n, r.alias || '.')
      ), '{}') || coalesce((
        select array_agg(w.col) from wanted as w where w.source = r.alias
      ), '{}'),
      audit.reader_of(r.target, array[r.key_type, (
        select a.atttypid from pg_attribute as a
        where a.attrelid = r.target and a.attname = r.key_column)])
    from resolved as r
    order by r.depth, r.alias;
end;
$$;

revoke all on function audit.lookups_of(audit.tracked) from public;

comment on function audit.lookups_of(audit.tracked) is
  'The lookups of a declaration, resolved through foreign keys, in the order they depend.';
