-- The primary key of a tracked table: how its columns are compared, and where rows of the log that
-- do not have them among their changes tell them.
create or replace function audit.undo_key(t audit.tracked)
  returns table (number smallint, place bigint, ident text, type text, kept_as text, equals text,
    source text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select a.attnum, row_number() over (order by a.attnum), audit.quoted(a.attname),
    audit.type_name(a.atttypid), r.kept_as, k.equals,
    case
      when t.item_id is null then 'item_id'
      when audit.fold_name(t.item_id) = a.attname then 'item'
      when audit.fold_name(t.part_name) = a.attname then 'part'
      when audit.fold_name(t.parent_id) = a.attname then 'parent'
      when audit.fold_name(t.account) = a.attname then 'account' end
  from (
    select u.number, (
        select format('operator(%I.%s)', n.nspname, o.oprname)
        from pg_opclass as c
        join pg_amop as m on m.amopfamily = c.opcfamily and m.amopstrategy = 3
          and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
        join pg_operator as o on o.oid = m.amopopr
        join pg_namespace as n on n.oid = o.oprnamespace
        where c.oid = u.class) as equals
    from pg_index as i
    cross join unnest(i.indkey::smallint[], i.indclass::oid[]) as u (number, class)
    where i.indrelid = t.target and i.indisprimary
  ) as k
  join pg_attribute as a on a.attrelid = t.target and a.attnum = k.number
  cross join audit.record_value(audit.presented_type(a.atttypid), '') as r
$$;

revoke all on function audit.undo_key(audit.tracked) from public;

comment on function audit.undo_key(audit.tracked) is
  'The columns of the primary key of a tracked table, and what of a row of the log names them.';
