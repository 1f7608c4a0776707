-- What audit.refresh() does for one table.
create or replace function audit.follow_table(t audit.tracked, compiler text)
  returns text
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if audit.name_of(t.target) is null then
    perform audit.remove_declaration(t);
    return t.compiled ->> 'name';
  end if;
  if t.inputs = audit.inputs_of(t, compiler)
    and audit.is_installed(t)
    -- A restored table is another one, whose columns are numbered anew.
    and t.target = (select y.relation from audit.layout as y where y.id = t.layout)
  then
    return null;
  end if;
  perform audit.validate_trackable(t.target);
  return case when audit.apply_declaration(t, audit.follow_columns(t), compiler) = 'changed'
    then audit.name_of(t.target) end;
end;
$$;

revoke all on function audit.follow_table(audit.tracked, text) from public;

comment on function audit.follow_table(audit.tracked, text) is
  'Brings a declaration and its triggers in line with their table; returns its name if anything '
  'changed.';
