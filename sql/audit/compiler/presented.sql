-- The only way for a column into compiled text, but for audit.difference(). A type that somebody made
-- may have casts, operators and checks that are that one's code, and would run with the rights of the
-- compiled function: such a value is its text, by its output function (concat) and never by a cast,
-- with nulls kept as they are.
create or replace function audit.presented(type oid, reference text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when audit.is_builtin(presented.type)
    then format('audit.as_compiled(%s, null::pg_catalog.%I)', reference, p.typname)
    else format('(case when num_nulls(%1$s) = 0 then concat(%1$s) end)', reference)
      || case when p.oid = 'text'::regtype then '' else format('::pg_catalog.%I', p.typname) end
    end
  from pg_type as p
  where p.oid = audit.presented_type(presented.type)
$$;

revoke all on function audit.presented(oid, text) from public;

comment on function audit.presented(oid, text) is
  'SQL for the value of a column, in a type of PostgreSQL''s own.';
