-- Before DDL that retypes or drops an audited column: PostgreSQL refuses it while the trigger for
-- UPDATE lists the column. The wider trigger lists none; refresh() puts the narrow one back.
create or replace function audit.widen(target regclass)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
  set jit = off
as $$
declare
  v_tracked audit.tracked;
  v_compiled audit.compiled;
  v_narrow text;
begin
  select * into v_tracked from audit.tracked as k where k.target = widen.target;
  if not found then
    raise exception 'table % is not tracked', widen.target
      using errcode = 'UA009', hint = 'Declare it with audit.track().';
  end if;
  v_compiled := jsonb_populate_record(null::audit.compiled, v_tracked.compiled);
  v_narrow := v_compiled.triggers ->> '_audit_update';
  if v_narrow like 'after update of %' and v_tracked.inputs <> 'compiling' then
    v_compiled.triggers := v_compiled.triggers || jsonb_build_object('_audit_update',
      'after update' || substr(v_narrow, strpos(v_narrow, format(' on %s for each', target))));
    -- At once as what follows locks it: nobody who waits in between can be waited for.
    execute format('lock table %s in access exclusive mode', audit.name_of(target));
    update audit.tracked as k set inputs = 'compiling' where k.id = v_tracked.id;
    perform audit.install_compiled(v_tracked, v_compiled);
    update audit.tracked as k
      set inputs = '', compiled = to_jsonb(v_compiled)
      where k.id = v_tracked.id;
  end if;
end;
$$;

revoke all on function audit.widen(regclass) from public;

comment on function audit.widen(regclass) is
  'Public. Replaces the trigger for UPDATE by one without a column list, so that columns can be '
  'altered.';
