-- One function that reads the records of all layouts: it goes down a tree to the one of the row.
create or replace function audit.layout_dispatcher(kind text)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_ids integer[] := array(select y.id from audit.layout as y order by y.id);
  v_has_side boolean := kind <> 'values';
  v_arguments text := 'row_values' || case when v_has_side then ', is_deleted' else '' end;
  v_result text := case kind when 'text' then 'text' else 'text[]' end;
begin
  return format(
'create or replace function audit.record_%s(layout integer, %s)
  returns %s
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as %L', kind,
  'row_values text' || case when v_has_side then ', is_deleted boolean' else '' end, v_result,
  format(
'
declare
  v_shown %s;
begin
%s  -- A transaction that has held the locks on the log since before the layout was made goes on with
  -- this function as it was then; by its name the new reader is found.
  if to_regproc(format(''audit.%%I'', format(''layout_%%s_%s'', layout))) is not null then
    execute format(''select audit.%%I(%s)'', format(''layout_%%s_%s'', layout))
      into v_shown using %s;
    return v_shown;
  end if;
  raise exception ''no function reads the records of layout %%'', layout
    using errcode = ''UA003'', hint = ''Call audit.refresh(), which makes it anew.'';
end;
',
    v_result, audit.layout_branch(v_ids, format('audit.layout_%%s_%s(%s)', kind, v_arguments)),
    kind, case when v_has_side then '$1, $2' else '$1' end, kind, v_arguments));
end;
$$;

revoke all on function audit.layout_dispatcher(text) from public;

comment on function audit.layout_dispatcher(text) is
  'DDL of the function that reads a record of whichever layout.';
