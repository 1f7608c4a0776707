-- Before an ALTER TABLE nothing tells its target but its text. Comments and strings are no part of
-- it; and whoever may not alter a table names it in vain, whatever he writes. What this does not see,
-- PostgreSQL itself refuses.
create or replace function audit.tables_altered(statement text)
  returns setof regclass
  language sql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  with named as materialized (
    select m.n, lower(m.match[1]) as kind, p.parts[cardinality(p.parts)]::name as name,
      p.parts[cardinality(p.parts) - 1]::name as schema
    from regexp_matches(
      audit.without_strings(statement),
      '\malter\s+(table|type)\s+(?:\mif\s+exists\s+)?(?:\monly\s+)?'
      '((?:"(?:[^"]|"")+"|(?![\d$])[\w$\u0080-\uffff]+)'
      '(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?![\d$])[\w$\u0080-\uffff]+))*)', 'gi')
      with ordinality as m (match, n)
    cross join lateral parse_ident(m.match[2]) as p (parts)
  )
  select f.target
  from (
    select a.n, k.target, c.relowner as owner
    from named as a
    join pg_class as c on c.relname = a.name
    join pg_namespace as s on s.oid = c.relnamespace and s.nspname = coalesce(a.schema, s.nspname)
    join audit.tracked as k on k.target = c.oid
    where a.kind = 'table'
    union all
    -- What is altered of a type is altered of the tables that are made of it.
    select a.n, k.target, c.relowner
    from named as a
    join pg_type as y on y.typname = a.name
    join pg_namespace as s on s.oid = y.typnamespace and s.nspname = coalesce(a.schema, s.nspname)
    join pg_class as c on c.reloftype = y.oid
    join audit.tracked as k on k.target = c.oid
    where a.kind = 'type'
  ) as f
  where pg_has_role(session_user, f.owner, 'usage')
  group by f.target
  order by min(f.n)
$$;

revoke all on function audit.tables_altered(text) from public;

comment on function audit.tables_altered(text) is
  'The tracked tables that a text alters and that the role of the session may alter, in order.';
