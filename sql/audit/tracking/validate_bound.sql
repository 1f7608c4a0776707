-- What expressions were bound to can change afterwards: a function can go to another owner, become
-- volatile, lose a right, or be dropped with all that depends on it. The bound functions are looked
-- through again as they are; nothing is created, and nothing of theirs is run.
create or replace function audit.validate_bound(t audit.tracked)
  returns void
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_slot text;
  v_name text;
  v_tree text;
begin
  if not exists (select from jsonb_object_keys(t.compiled -> 'functions') as k
                 where k ~ '_x[0-9a-f]{8}$') then
    return;
  end if;
  for v_slot, v_name, v_tree in
    select e.slot, f.name, p.prosqlbody::text
    from audit.expressions_of(t) as e
    cross join lateral audit.bound_function(t, e.expression, e.result) as f
    left join pg_proc as p on p.oid = to_regproc(format('audit.%I', f.name))
    where audit.is_bound(e.expression) and t.compiled -> 'functions' ? f.name
  loop
    if v_tree is null then
      raise exception 'invalid declaration of %: %: what it uses was dropped, and with it %',
        t.target, v_slot, format('audit.%I', v_name)
        using errcode = 'UA005';
    end if;
    perform audit.validate_tree(t, v_slot, v_tree);
  end loop;
end;
$$;

revoke all on function audit.validate_bound(audit.tracked) from public;

comment on function audit.validate_bound(audit.tracked) is
  'Raises an error where something that a declaration was bound to is gone, or no longer allowed.';
