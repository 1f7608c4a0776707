-- What an SQL text says, without what it only mentions: comments and strings go, and names that are
-- written with escapes are written without.
create or replace function audit.without_strings(statement text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_text text := regexp_replace(statement,
    '((?:\mu&)?"(?:[^"]|"")*"(?:\s*\muescape\s*''[^'']'')?)'
    '|\me''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
    '|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/', '\1 ', 'gi');
  v_found text[];
  v_name text;
begin
  -- Other encodings lack some of these characters. There PostgreSQL's own refusal is left.
  if v_text !~* '\mu&"' or getdatabaseencoding() <> 'UTF8' then
    return v_text;
  end if;
  for v_found in
    select m.found
    from regexp_matches(v_text,
      '(\mu&"((?:[^"]|"")*)"(?:\s*\muescape\s*''([^''])'')?)', 'gi') as m (found)
  loop
    v_name := replace(v_found[2], '""', '"');
    if v_found[3] <> '\' then
      v_name := replace(replace(v_name, '\', '\\'), v_found[3], '\');
    end if;
    -- unistr() refuses what is no character.
    if v_name ~* ('^(?:[^\\]|\\\\|\\(?!0000|d[89a-f])[0-9a-f]{4}'
      '|\\\+(?!000000|00d[89a-f])(?:[0][0-9a-f]|10)[0-9a-f]{4})*$')
    then
      v_text := replace(v_text, v_found[1],
        format('"%s"', replace(unistr(v_name), '"', '""')));
    end if;
  end loop;
  return v_text;
end;
$$;

revoke all on function audit.without_strings(text) from public;

comment on function audit.without_strings(text) is
  'An SQL text without comments and strings, and with its names as they are.';
