-- The row on its way from one partition to another: one setting, believed only as far as audit.move
-- bears it out.
create or replace function audit.read_move(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format(
E'  v_moving := nullif(current_setting(%s, true), '''');
  v_row := null;
  if v_moving ~ ''^[0-9]{1,19}:'' then
    v_move := split_part(v_moving, '':'', 1)::bigint;
    select m.is_started into v_started from audit.move as m
      where m.id = v_move and m.tracked_id = %s and m.pid = pg_backend_pid();
    if not found then
      v_moving := null;
    elsif v_started then
      v_row := nullif(substr(v_moving, strpos(v_moving, '':'') + 1), '''')::text[];
    else
      update audit.move as m set is_started = true
        where m.id = v_move and m.pid = pg_backend_pid();
    end if;
  else
    v_moving := null;
  end if;\n', quote_literal('audit.moving_' || t.id), t.id)
$$;

revoke all on function audit.read_move(audit.tracked) from public;

comment on function audit.read_move(audit.tracked) is
  'Statements that read which row of a partitioned table is on its way to another partition.';
