-- Declared expressions name columns; this puts in what a name stands for in the compiled code.
create or replace function audit.rewrite_expression(expression text, names jsonb)
  returns text
  language plpgsql
  immutable
  strict
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  -- A string, or a chain of identifiers with what tells a function's name from a column's, or else
  -- one character.
  v_tokens constant text :=
    '([eE]''(?:[^''\\]|\\.|'''')*''|''(?:[^'']|'''')*'''
    '|(?:"(?:[^"]|"")+"|(?!\d)[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|(?!\d)[\w$]+))*'
    '|\d[\w.]*|.)(\s*\((?!\s*\+\s*\)))?';
  v_token text[];
  v_name text;
  v_result text := '';
begin
  for v_token in select m from regexp_matches(rewrite_expression.expression, v_tokens, 'g') as m loop
    v_name := audit.fold_name(v_token[1]);
    if v_token[2] is null and v_name is not null and names ? v_name then
      v_result := v_result || (names ->> v_name);
    else
      v_result := v_result || v_token[1] || coalesce(v_token[2], '');
    end if;
  end loop;
  return v_result;
end;
$$;

revoke all on function audit.rewrite_expression(text, jsonb) from public;

comment on function audit.rewrite_expression(text, jsonb) is
  'Replaces names of columns in an SQL expression; strings and names of functions stay.';
