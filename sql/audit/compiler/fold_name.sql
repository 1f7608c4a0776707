-- One spelling for a name however it was quoted, so that declared names can be compared.
create or replace function audit.fold_name(token text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
begin
  -- Most are of this kind, and looking up a plan takes longer than the rest.
  if token ~ '^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$' then
    return token;
  elsif token ~ '^(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*$' then
    return string_agg(
        case when p[1] like '"%' then replace(substr(p[1], 2, length(p[1]) - 2), '""', '"')
          else lower(p[1]) end, '.' order by n)
      from regexp_matches(token, '"(?:[^"]|"")+"|[\w$]+', 'g') with ordinality as m (p, n);
  end if;
  return null;
end;
$$;

revoke all on function audit.fold_name(text) from public;

comment on function audit.fold_name(text) is
  'The name that a token of SQL stands for, its parts joined by dots; null for other tokens.';
