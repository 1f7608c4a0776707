-- Before a table is compiled: its layout is there, with the type and the function that go with it.
create or replace function audit.settle_layout(t audit.tracked)
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_layout integer := audit.layout_of(t);
  v_new audit.layout;
begin
  if v_layout is not null then
    return v_layout;
  end if;
  lock table audit.layout in share row exclusive mode;
  v_new.tracked_id := t.id;
  v_new.table_name := audit.name_of(t.target);
  v_new.columns := audit.layout_columns(t);
  v_new.secret := audit.secret_columns(t);
  v_new.secret_numbers := audit.secret_numbers(t);
  v_new.numbers := audit.column_numbers(t.target);
  v_new.relation := t.target;
  v_layout := audit.add_layout(v_new);
  perform audit.derive_layouts(v_layout);
  perform audit.follow_layouts(t.id);
  return v_layout;
end;
$$;

revoke all on function audit.settle_layout(audit.tracked) from public;

comment on function audit.settle_layout(audit.tracked) is
  'The number of the layout that a tracked table writes now, made where it has none yet.';
