-- After DDL: declarations follow their tables and are compiled anew where something changed.
create or replace function audit.refresh(target regclass default null)
  returns setof text
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_compiler text := audit.compiler_digest();
  v_waits constant text := audit.bound_waits();
  v_found boolean := false;
begin
  begin
    lock table audit.tracked in share row exclusive mode;
    -- After a restore of data alone.
    if refresh.target is null
      and exists (select from audit.check_layouts() as f where f.finding = 'layout_missing')
    then
      perform audit.derive_layouts();
    end if;
    for v_tracked in
      select * from audit.tracked as k
      where refresh.target is null or k.target = refresh.target
      order by k.id
    loop
      v_found := true;
      if audit.name_of(v_tracked.target) is null then
        perform audit.remove_declaration(v_tracked);
        return next v_tracked.compiled ->> 'name';
        continue;
      end if;
      continue when v_tracked.inputs = audit.inputs_of(v_tracked, v_compiler)
        and audit.is_installed(v_tracked)
        -- A restored table is another one, whose columns are numbered anew.
        and v_tracked.target = (select y.relation from audit.layout as y
                                where y.id = v_tracked.layout);
      perform audit.validate_trackable(v_tracked.target);
      if audit.apply_declaration(v_tracked, audit.follow_columns(v_tracked), v_compiler)
        = 'changed'
      then
        return next audit.name_of(v_tracked.target);
      end if;
    end loop;
  exception
    when lock_not_available then
      perform audit.gave_up('audit.tracked'::regclass || case
        when refresh.target is null then array(select k.target from audit.tracked as k)
        else array[refresh.target] end);
  end;
  perform set_config('lock_timeout', v_waits, true);
  if not v_found and refresh.target is not null then
    raise exception 'table % is not tracked', refresh.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
end;
$$;

revoke all on function audit.refresh(regclass) from public;

comment on function audit.refresh(regclass) is
  'Public. Compiles one tracked table or all anew after DDL; returns the names of those that '
  'changed.';
