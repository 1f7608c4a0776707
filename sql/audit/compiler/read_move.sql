-- What a row trigger finds of the row that is on its way to another partition. Before the UPDATE of a
-- row its place is noted, so that a deletion is known for what it is; its columns then wait for the
-- insertion of the same key. Whatever else happens meanwhile, in the same statement or in one that
-- a trigger runs, is none of that.
create or replace function audit.read_move(t audit.tracked, event text)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with key as (
    -- Before the UPDATE of a row nobody knows what will be computed of it.
    select string_agg(format('(%s)', audit.exact_text(c.type, n.names ->> c.name)), ', '
        order by c.number) as vals
    from audit.columns_of(t.target) as c
    join pg_attribute as a on a.attrelid = t.target and a.attnum = c.number
    cross join audit.row_names(t, 'new') as n (names)
    where c.is_key and a.attgenerated = ''
  ), row_now as (
    select string_agg(format('(%s)', audit.exact_text(c.type, n.names ->> c.name)), ', '
        order by c.number) as vals
    from audit.columns_of(t.target) as c
    cross join audit.row_names(t, 'old') as n (names)
  )
  select format(E'  v_moving := nullif(current_setting(%L, true), \'\');\n', s.setting)
    || case event
    when 'moving' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:\' then
    insert into audit.move (tracked_id, statement, relation, place, new_key)
      select %1$s, m.id, place.f1, place.f2::text, array[%2$s]::text[]
      from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, \':\', 1)::bigint
        and m.tracked_id = %1$s and m.relation is null;
  end if;\n', t.id, key.vals)
    when 'delete' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:\' then
    update audit.move as m set row_values = array[%2$s]::text[]
      where m.pid = pg_backend_pid() and m.id = (
        select o.id from audit.move as o
        where o.pid = pg_backend_pid() and o.relation = place.f1 and o.place = place.f2::text
          and o.tracked_id = %1$s and o.row_values is null
        order by o.id desc limit 1)
      returning m.id into v_move;
    if v_move is not null then
      perform set_config(%3$L, split_part(v_moving, \':\', 1) || \':\' || v_move, true);
      return null;
    end if;
  end if;\n', t.id, row_now.vals, s.setting)
    when 'insert' then format(
E'  if v_moving ~ \'^[0-8]?[0-9]{1,18}:[0-8]?[0-9]{1,18}$\' then
    delete from audit.move as m
      where m.pid = pg_backend_pid() and m.id = split_part(v_moving, \':\', 2)::bigint
        and m.tracked_id = %1$s and m.new_key = array[%2$s]::text[]
      returning m.row_values into v_row;
    if v_row is not null then
      perform set_config(%3$L, split_part(v_moving, \':\', 1) || \':\', true);
    end if;
  end if;\n', t.id, key.vals, s.setting)
    end
  from key
  cross join row_now
  cross join (select 'audit.moving_' || t.id as setting) as s
$$;

revoke all on function audit.read_move(audit.tracked, text) from public;

comment on function audit.read_move(audit.tracked, text) is
  'Statements by which row triggers know a row that moves from one partition to another.';
