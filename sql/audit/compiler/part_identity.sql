-- An update of a part says which part it was: its key columns, with equal old and new.
create or replace function audit.part_identity(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when t.part is not null and count(*) > 0 then
    'jsonb_build_object(' || string_agg(format('%L, %s', a.name, a.both_entry), ', '
      order by a.number) || ')' end
  from audit.audited_columns(t, old_side) as a
  where a.is_key
    and a.name <> all (array(select audit.names_in(t.item_id)))
    and audit.fold_name(t.part_name) is distinct from a.name
$$;

revoke all on function audit.part_identity(audit.tracked, text) from public;

comment on function audit.part_identity(audit.tracked, text) is
  'SQL for the key columns of a part, which its updates carry; null where there are none.';
