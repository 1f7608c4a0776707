-- What a compiled function relies on. When it changes, the function is out of date.
create or replace function audit.fingerprint(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select left(md5(concat_ws(E'\n',
    (select string_agg(concat_ws(' ', c.number, c.declared_type::regtype, c.is_key, c.is_plain,
                                 c.ident), E'\n' order by c.number)
     from audit.column_of(t.target) as c),
    (select string_agg(concat_ws(' ', l.alias, a.attnum, a.atttypid::regtype, a.attname), E'\n'
                       order by l.alias, a.attnum)
     from audit.lookup_of(t) as l
     join pg_attribute as a
       on a.attrelid = l.target and a.attname = any (l.columns || l.key_column)),
    -- A trigger that may change columns which the statement does not name needs the wider trigger.
    (select r.has_before_update from audit.table_trait(t.target) as r))), 12)
$$;

revoke all on function audit.fingerprint(audit.tracked) from public;

comment on function audit.fingerprint(audit.tracked) is
  'Digest of the columns and triggers that the compiled functions of a table rely on.';
