-- Before an import: the layouts that its rows name are here, whatever their numbers. A layout is
-- known by what it says. One of a table of this database serves as it is; others are added, under a
-- declaration that no table of this database has.
create or replace function audit.adopt_layouts(log uuid, layouts jsonb)
  returns table (theirs integer, ours integer, is_added boolean)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_is_own constant boolean :=
    log = (select e.log from audit.era as e order by e.number desc limit 1);
  v_added integer[] := '{}';
  v_layout audit.layout;
  v_type text;
begin
  lock table audit.layout in share row exclusive mode;
  for v_layout in
    select r.* from jsonb_populate_recordset(null::audit.layout, layouts) as r order by r.id
  loop
    theirs := v_layout.id;
    -- What becomes the text of a type is nothing but the name of a type that records may keep.
    select c ->> 'kept_as' into v_type
      from jsonb_array_elements(v_layout.columns) as c
      where c ->> 'kept_as' <> 'pg_catalog.text[]'
        and not exists (
          select from pg_type as p
          where p.typnamespace = 'pg_catalog'::regnamespace and audit.is_kept(p.oid)
            and audit.builtin_name(p.oid) = c ->> 'kept_as')
      limit 1;
    if found then
      raise exception 'records of %: there is no type % here', v_layout.table_name, v_type
        using errcode = 'undefined_object';
    end if;
    -- The same number for the same table with every import.
    if not v_is_own and v_layout.tracked_id > 0 then
      v_layout.tracked_id :=
        -1 - (hashtextextended(format('%s/%s', log, v_layout.tracked_id), 0) & 1073741823)::integer;
    end if;
    select y.id into ours
      from audit.layout as y
      where y.table_name = v_layout.table_name
        and y.columns = v_layout.columns
        and y.secret = v_layout.secret
        and y.secret_numbers = v_layout.secret_numbers
        and y.numbers is not distinct from v_layout.numbers
        and (y.tracked_id = v_layout.tracked_id or y.tracked_id > 0)
      order by y.tracked_id = v_layout.tracked_id desc, y.id
      limit 1;
    is_added := not found;
    if is_added then
      ours := audit.add_layout(v_layout);
      v_added := v_added || v_layout.tracked_id;
    end if;
    return next;
  end loop;
  if v_added <> '{}' then
    perform audit.derive_layouts();
    perform audit.follow_layouts(f.id) from (select distinct unnest(v_added) as id) as f;
  end if;
end;
$$;

revoke all on function audit.adopt_layouts(uuid, jsonb) from public;

comment on function audit.adopt_layouts(uuid, jsonb) is
  'Which layout here stands for each layout of an import; those that were missing are added.';
