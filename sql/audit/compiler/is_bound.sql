-- Whether an expression names a function, a type or an operator that is not PostgreSQL's own. Those
-- are found once, when the declaration is made, and kept: by their names something else could be
-- found later. What has no schema can only be PostgreSQL's.
create or replace function audit.is_bound(expression text)
  returns boolean
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from audit.tokens_of(is_bound.expression) as t
    where t.name is null
      and (t.token ~* '^operator\s*\($'
        or t.token ~ '^(?:::|[aA][sS])?\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)\s*\.'
          and t.token !~* '^(?:::|as)?\s*"?pg_catalog"?\s*\.'))
$$;

revoke all on function audit.is_bound(text) from public;

comment on function audit.is_bound(text) is
  'Whether a declared expression uses something that is not PostgreSQL''s own.';
