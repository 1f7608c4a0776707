-- What rows of the log say of rows of tables, in the order of doing.
create or replace function audit.undo_changes(rows audit.undo_row[])
  returns setof audit.undo_change
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_of_layout record;
  v_layout audit.layout;
  v_tracked audit.tracked;
  v_keys jsonb;
  v_numbers text[];
  v_unknown constant text := 'the log does not say which row it was';
begin
  for v_of_layout in
    select l.layout, l.row_values is not null as is_record,
      array_agg(l::audit.undo_row order by l.place) as rows
    from unnest(rows) as l
    group by 1, 2
  loop
    select y.* into v_layout from audit.layout as y where y.id = v_of_layout.layout;
    select k.* into v_tracked from audit.tracked as k where k.id = v_layout.tracked_id;
    select jsonb_agg(to_jsonb(k) order by k.place), array_agg(k.number::text)
      into v_keys, v_numbers
      from audit.undo_key(v_tracked) as k;
    if v_tracked.id is null or v_keys is null then
      return query
        select l.place, null::oid, null, array[l.item_type, l.item_id], null::text[], null::jsonb,
          null::jsonb, null::jsonb,
          case when v_of_layout.layout is null then format('%s is not undone', l.action)
            when v_tracked.id is null then format('%s is not tracked', v_layout.table_name)
            else format('%s has no primary key', v_layout.table_name) end
        from unnest(v_of_layout.rows) as l;
    elsif v_of_layout.is_record then
      return query
        select l.place, v_tracked.target::oid, r.kind,
          case r.kind when 'delete' then k.key end, case r.kind when 'insert' then k.key end,
          case r.kind when 'delete' then r.vals end, case r.kind when 'insert' then r.vals end,
          r.missing, case when array_position(k.key, null) > 0 then v_unknown end
        from audit.undo_records(v_layout, v_tracked.target, v_of_layout.rows) as r
        join unnest(v_of_layout.rows) as l on l.place = r.place
        cross join lateral audit.undo_keyed(
          v_keys, r.vals, l.item_id, l.parent_id, l.account_id, null) as k (key)
        -- A baseline says what was there: nothing was done.
        where l.action <> l.item_type || '_baseline';
    else
      return query
        select l.place, v_tracked.target::oid, e.kind,
          case when e.kind <> 'insert' then o.key end, case when e.kind <> 'delete' then n.key end,
          case when e.kind <> 'insert' then e.old_values end,
          case when e.kind <> 'delete' then e.new_values end,
          e.missing, case when array_position(o.key, null) > 0 and e.kind <> 'insert'
            or array_position(n.key, null) > 0 and e.kind <> 'delete' then v_unknown end
        from audit.undo_entries(v_layout, v_tracked.target, v_of_layout.rows) as e
        join unnest(v_of_layout.rows) as l on l.place = e.place
        cross join lateral audit.undo_keyed(
          v_keys, e.new_values, l.item_id, l.parent_id, l.account_id, e.part) as n (key)
        cross join lateral (
          select case when e.kind = 'insert' or not e.old_values ?| v_numbers then n.key
            else audit.undo_keyed(v_keys, e.new_values || e.old_values, l.item_id, l.parent_id,
              l.account_id, e.part) end
        ) as o (key);
    end if;
  end loop;
end;
$$;

revoke all on function audit.undo_changes(audit.undo_row[]) from public;

comment on function audit.undo_changes(audit.undo_row[]) is
  'What rows of the log say of rows of tables: keys and values before and after.';
