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
  v_changed text;
  v_hint text;
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
      begin
        v_changed := audit.follow_table(v_tracked, v_compiler);
        if v_changed is not null then
          return next v_changed;
        end if;
      exception
        when lock_not_available or transaction_rollback or insufficient_resources
          or operator_intervention then
          raise;
        when others then
          if refresh.target is not null then
            raise;
          end if;
          -- One that is broken keeps no other from being compiled; writes to it fail.
          get stacked diagnostics v_hint = pg_exception_hint;
          raise warning 'not refreshed: %', sqlerrm using errcode = sqlstate, hint = v_hint;
      end;
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
