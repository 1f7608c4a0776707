-- What foreign keys say of an undo: rows that are not there to refer to, rows that refer to what
-- would go, columns that a row cannot be without.
create or replace function audit.undo_references(nets audit.undo_net[])
  returns setof audit.undo_net
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_nets audit.undo_net[] := audit.undo_lacking(nets);
  v_targets constant oid[] := array(select distinct n.target from unnest(nets) as n);
  v_key record;
begin
  for v_key in
    select c.conrelid as child, c.confrelid as parent, audit.name_of(c.conrelid) as child_name,
      audit.name_of(c.confrelid) as parent_name, f.*,
      (select string_agg(format('concat(c.%s)', k.ident), ', ' order by k.place)
       from audit.tracked as t cross join lateral audit.undo_key(t) as k
       where t.target = c.conrelid) as row_key
    from pg_constraint as c
    cross join lateral (
      select
        string_agg(format('p.%I operator(%I.%s) (u.vals[%s])::%s', p.attname, n.nspname, o.oprname,
          k.i, audit.type_name(a.atttypid)), ' and ') as to_parent,
        string_agg(format('(u.vals[%s])::%s operator(%I.%s) c.%I', k.i, audit.type_name(p.atttypid),
          n.nspname, o.oprname, a.attname), ' and ') as to_child,
        array_agg(k.child::text order by k.i) as child_numbers,
        array_agg(k.parent::text order by k.i) as parent_numbers
      from unnest(c.conkey, c.confkey, c.conpfeqop) with ordinality as k (child, parent, equals, i)
      join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.child
      join pg_attribute as p on p.attrelid = c.confrelid and p.attnum = k.parent
      join pg_operator as o on o.oid = k.equals
      join pg_namespace as n on n.oid = o.oprnamespace
    ) as f
    left join audit.undo_levels(v_targets) as l on l.target = c.conrelid
    where c.contype = 'f' and c.conparentid = 0
      and (c.conrelid = any (v_targets) or c.confrelid = any (v_targets))
    order by l.number nulls first, c.oid
  loop
    if v_key.child = any (v_targets) then
      v_nets := audit.undo_orphans(v_nets, v_key.child, v_key.parent, v_key.parent_name,
        v_key.child_numbers, v_key.parent_numbers, v_key.to_parent);
    end if;
    if v_key.parent = any (v_targets) then
      v_nets := audit.undo_dependents(v_nets, v_key.child, v_key.parent, v_key.child_name,
        v_key.parent_numbers, v_key.to_child, v_key.row_key);
    end if;
  end loop;
  return query select (n).* from unnest(v_nets) as n;
end;
$$;

revoke all on function audit.undo_references(audit.undo_net[]) from public;

comment on function audit.undo_references(audit.undo_net[]) is
  'Adds to rows that are undone what foreign keys and columns without a value say against it.';
