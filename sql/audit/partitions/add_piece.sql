-- A new partition between two times. What has its name was detached by somebody: its rows must not
-- come back unasked.
create or replace function audit.add_piece(lower_bound timestamptz, upper_bound timestamptz)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
as $$
declare
  v_name text := case
    when add_piece.lower_bound = '-infinity' then 'log_past'
    when add_piece.upper_bound = 'infinity' then 'log_future'
    else audit.partition_name(add_piece.lower_bound, add_piece.upper_bound)
  end;
begin
  if to_regclass(format('audit.%I', v_name)) is not null then
    raise exception 'audit.% is no partition of the log, and has the name of one', v_name
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Attach it again with audit.add_partition(), or rename it.';
  end if;
  perform audit.add_partition(v_name,
    case when add_piece.lower_bound = '-infinity' then 'minvalue'
      else add_piece.lower_bound::text end,
    case when add_piece.upper_bound = 'infinity' then 'maxvalue'
      else add_piece.upper_bound::text end);
end;
$$;

revoke all on function audit.add_piece(timestamptz, timestamptz) from public;

comment on function audit.add_piece(timestamptz, timestamptz) is
  'Adds a new partition of the log between two times, with the name that belongs to it.';
