-- A tree of questions about a number, halved at each: of a thousand layouts ten are asked.
create or replace function audit.layout_branch(ids integer[], call text, depth integer)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_middle integer := cardinality(ids) / 2;
  v_indent text := repeat('  ', depth);
begin
  if ids = '{}' then
    return '';
  end if;
  if cardinality(ids) > 1 then
    return format(E'%1$sif layout < %2$s then\n%3$s%1$selse\n%4$s%1$send if;\n', v_indent,
      ids[v_middle + 1],
      audit.layout_branch(ids[1 : v_middle], call, depth + 1),
      audit.layout_branch(ids[v_middle + 1 : cardinality(ids)], call, depth + 1));
  end if;
  return format(E'%1$sif layout = %2$s then\n%1$s  return %3$s;\n%1$send if;\n', v_indent,
    ids[1], format(call, ids[1]));
end;
$$;

revoke all on function audit.layout_branch(integer[], text, integer) from public;

comment on function audit.layout_branch(integer[], text, integer) is
  'SQL that calls the function of a layout by its number.';
