-- What a running DDL command may have been written as: what the client sent, what functions run, as
-- their context tells, the bodies of SQL functions, of which it tells the names alone, and all of it
-- as it reads with quotes that are doubled and characters that are escaped.
create or replace function audit.ddl_text(context text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_text text := lower(concat_ws(' ', current_query(), context, (
    select string_agg(p.prosrc, ' ')
    from regexp_matches(context, 'SQL function "([^"\n]+)"', 'g') as m (name)
    join pg_proc as p on p.proname = m.name[1]
    join pg_language as l on l.oid = p.prolang and l.lanname = 'sql')));
  v_escape text;
  v_found text;
  v_code integer;
begin
  if strpos(v_text, '""') > 0 then
    v_text := v_text || ' ' || replace(v_text, '""', '"');
  end if;
  if strpos(v_text, 'u&"') > 0 then
    v_escape := coalesce(substring(v_text from 'uescape\s*''(.)'''), '\');
    for v_found in
      select distinct m.found[1]
      from regexp_matches(v_text, case v_escape when '\' then '\\' else '[' || v_escape || ']' end
        || '(\+[0-9a-f]{6}|[0-9a-f]{4})', 'g') as m (found)
    loop
      v_code := ('x' || lpad(ltrim(v_found, '+'), 8, '0'))::bit(32)::integer;
      if v_code between 1 and 127
        or getdatabaseencoding() = 'UTF8'
          and (v_code between 128 and 55295 or v_code between 57344 and 1114111)
      then
        v_text := replace(v_text, v_escape || v_found, lower(chr(v_code)));
      end if;
    end loop;
  end if;
  return v_text;
end;
$$;

revoke all on function audit.ddl_text(text) from public;

comment on function audit.ddl_text(text) is
  'The text of the DDL command that runs, as far as it is known, in lower case.';
