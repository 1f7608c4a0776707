-- What the rows themselves tell. Only the last pages of each partition are read, where the newest
-- rows are, so that this takes no longer on a log of ten years.
create or replace function audit.check_rows()
  returns setof audit.finding
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_pages constant bigint := 4096;
  v_partition text;
  v_upper timestamptz;
  v_blocks bigint;
  v_item_type text;
  v_rows bigint;
  v_found jsonb := '{}';
begin
  for v_partition, v_upper in
    select l.partition, l.upper_bound from audit.partition_list() as l
  loop
    v_blocks := pg_relation_size(format('audit.%I', v_partition)::regclass)
      / current_setting('block_size')::bigint;
    continue when v_blocks = 0;
    continue when v_upper < now() - interval '7 days';
    for v_item_type, v_rows in
      execute format('select item_type, count(*) from audit.%I where ctid >= %L '
        'and occurred_at > now() - interval ''7 days'' and occurred_at < now() '
        'and actor_type = ''database'' and item_type not in (''table'', ''log'') group by 1', v_partition,
        format('(%s,0)', greatest(v_blocks - v_pages, 0)))
    loop
      v_found := v_found || jsonb_build_object(v_item_type,
        coalesce((v_found ->> v_item_type)::bigint, 0) + v_rows);
    end loop;
  end loop;

  return query
    select 'actor_missing', 'warning',
      k.tables,
      format('Rows about %s without an actor, of the last 7 days: %s. Somebody wrote without '
        'saying for whom.', e.key, e.value),
      'select audit.set_actor(''system'', ''name of the job''); -- in each of their transactions, '
        'before they write'
    from jsonb_each_text(v_found) as e
    -- Where no table is tracked any more, nobody can do better from now on.
    join (select t.item_type, string_agg(audit.name_of(t.target), ', ' order by t.id) as tables
          from audit.tracked as t group by t.item_type) as k on k.item_type = e.key
    order by e.key;

end;
$$;

revoke all on function audit.check_rows() from public;

comment on function audit.check_rows() is
  'Findings: rows without an actor.';
