-- One looked-up row by its key. A key of somebody's type is compared as that type, which takes code of
-- that one's: where there is any, this stands in a function of audit_lookup.
create or replace function audit.lookup_query(
  relation regclass, list text, key_column text, key_operator text, value text, key_type oid
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('select %s from %I.%I as _audit_p where _audit_p.%s %s %s limit 1',
    list, n.nspname, c.relname, audit.quoted(key_column), key_operator,
    case when audit.is_builtin(key_type) then value
      else format('(%s)::%s', value, format_type(key_type, null)) end)
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
  where c.oid = relation
$$;

revoke all on function audit.lookup_query(regclass, text, text, text, text, oid) from public;

comment on function audit.lookup_query(regclass, text, text, text, text, oid) is
  'SQL that reads one looked-up row by its key.';
