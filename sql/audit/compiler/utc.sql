-- Times are stored as UTC whatever the time zone of the writer.
create or replace function audit.utc(moment timestamptz)
  returns text
  language sql
  immutable
  strict
  parallel safe
as $$
  select case
    when not pg_catalog.isfinite(moment) then pg_catalog.to_jsonb(moment) #>> '{}'
    when moment operator(pg_catalog.<) '0001-01-01 00:00:00+00'::pg_catalog.timestamptz
      then pg_catalog.replace(
        pg_catalog.to_jsonb(pg_catalog.timezone('UTC', moment)) #>> '{}', ' BC', '+00:00 BC')
    else (pg_catalog.to_jsonb(pg_catalog.timezone('UTC', moment)) #>> '{}') || '+00:00'
  end
$$;

revoke all on function audit.utc(timestamptz) from public;

comment on function audit.utc(timestamptz) is 'A time as ISO 8601 text in UTC.';
