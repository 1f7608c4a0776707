-- One function that reads the records of all layouts: it goes down a tree to the one of the row.
create or replace function audit.layout_dispatcher(kind text, parameters text, arguments text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids integer[] := array(select y.id from audit.layout as y order by y.id);
begin
  return format(
'create or replace function audit.record_%s(layout integer, %s)
  returns jsonb
  language plpgsql
  immutable
  security definer
  cost 10000
  set search_path = pg_catalog, pg_temp
as %L', kind, parameters, format(
'
begin
%s  raise exception ''no function reads the records of layout %%'', layout
    using errcode = ''UA003'', hint = ''Call audit.refresh(), which makes it anew.'';
end;
',
    audit.layout_branch(v_ids, format('audit.layout_%%s_%s(%s)', kind, arguments), 1)));
end;
$$;

revoke all on function audit.layout_dispatcher(text, text, text) from public;

comment on function audit.layout_dispatcher(text, text, text) is
  'DDL of the function that reads a record of whichever layout.';
