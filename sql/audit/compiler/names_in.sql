-- Which columns a declared expression needs: asked when triggers are compiled and compared.
create or replace function audit.names_in(expression text)
  returns setof text
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
  select distinct audit.fold_name(m[1])
  from regexp_matches(names_in.expression,
    '([eE]''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
    '|(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
    '|\d[\w.]*|.)(\s*\()?', 'g') as m
  where m[2] is null and audit.fold_name(m[1]) is not null
$$;

revoke all on function audit.names_in(text) from public;

comment on function audit.names_in(text) is
  'The names in an SQL expression that are neither strings nor functions.';
