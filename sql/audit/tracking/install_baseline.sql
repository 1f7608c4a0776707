-- The functions by which a table's baseline is read and written are there while it runs. Those
-- that read have the rights of the table's owner; where the log's owner may not give a function to
-- that one, and there is no boundary between them, those of the log's owner.
create or replace function audit.install_baseline(t audit.tracked)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
as $$
declare
  v_us constant name := audit.role_for('owner');
  v_writer constant name := audit.role_for('audit_writer');
  v_owner name;
  v_name text;
  v_ddl text;
  v_role name;
begin
  select case
      when r.rolsuper and not u.rolsuper then u.rolname
      when u.rolsuper or pg_has_role(u.oid, r.oid,
        case when current_setting('server_version_num')::integer < 160000 then 'MEMBER'
          else 'SET' end) then r.rolname
    end
    into v_owner
    from pg_class as c
    join pg_roles as r on r.oid = c.relowner
    cross join pg_roles as u
    where c.oid = t.target and u.rolname = v_us;
  if v_owner is null then
    raise exception 'no baseline of %: % is no member of its owner', audit.name_of(t.target), v_us
      using errcode = 'UA005', hint = format('grant %I to %I;',
        (select pg_get_userbyid(c.relowner) from pg_class as c where c.oid = t.target), v_us);
  end if;
  for v_name, v_ddl, v_role in
    select r.name, r.ddl, v_owner from audit.baseline_reader(t) as r
    union all
    select w.name, w.ddl, v_writer from audit.baseline_writer(t) as w
  loop
    continue when exists (
      select from pg_proc as f
      where f.pronamespace = 'audit'::regnamespace and f.proname = v_name
        and pg_get_userbyid(f.proowner) = v_role
        and right(v_ddl, length(quote_literal(f.prosrc))) = quote_literal(f.prosrc));
    -- One that shows other columns than before cannot be replaced.
    if to_regproc(format('audit.%I', v_name)) is not null then
      execute format('drop function audit.%I', v_name);
    end if;
    execute v_ddl;
    execute format('revoke all on function audit.%I from public', v_name);
    execute format('grant execute on function audit.%I to %I, %I', v_name, v_us, v_writer);
    execute format('comment on function audit.%I is %L', v_name,
      format('Compiled by audit.baseline() for %s, until that is done.', audit.name_of(t.target)));
    perform audit.hand_over(v_name, v_role);
  end loop;
end;
$$;

revoke all on function audit.install_baseline(audit.tracked) from public;

comment on function audit.install_baseline(audit.tracked) is
  'Creates the functions of the baseline of a table where they are not there.';
