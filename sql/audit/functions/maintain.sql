-- Keeps partitions of the log ahead of time; between two catch-alls nothing is ever without one.
create or replace function audit.maintain(ahead interval default '24 months')
  returns integer
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on
  set timezone = 'UTC'
  set lock_timeout = '2s'
as $$
declare
  v_this_month timestamptz := date_trunc('month', now());
  v_until timestamptz := date_trunc('month', now() + ahead) + interval '1 month';
  v_from timestamptz;
  v_last timestamptz;
  v_name text;
  v_added integer := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit.maintain', 0));

  if to_regclass('audit.log_future') is null then
    perform audit.add_partition('log_past', 'minvalue', v_this_month::text);
    v_from := v_this_month;
  else
    select substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([^'']+)''\)')::timestamptz
      into v_from
      from pg_class as c
      where c.oid = 'audit.log_future'::regclass;
    if v_from >= v_until then
      return 0;
    end if;
    execute 'alter table audit.log detach partition audit.log_future';
    select max(f.occurred_at) into v_last from audit.log_future as f;
    if v_last is not null then
      -- Nobody called for too long: the rows stay where they are, as one wide partition.
      v_last := date_trunc('month', v_last) + interval '1 month';
      v_name := format('log_%s_to_%s', to_char(v_from, 'YYYY_MM'),
        to_char(v_last - interval '1 day', 'YYYY_MM'));
      execute format('alter table audit.log_future rename to %I', v_name);
      perform audit.add_partition(v_name, v_from::text, v_last::text);
      v_from := v_last;
      v_added := 1;
    end if;
  end if;

  while v_from < v_until loop
    perform audit.add_partition('log_' || to_char(v_from, 'YYYY_MM'),
      v_from::text, (v_from + interval '1 month')::text);
    v_from := v_from + interval '1 month';
    v_added := v_added + 1;
  end loop;
  perform audit.add_partition('log_future', v_from::text, 'maxvalue');
  return v_added;
end;
$$;

revoke all on function audit.maintain(interval) from public;

comment on function audit.maintain(interval) is
  'Adds monthly partitions of the log up to the given time ahead; returns how many it added.';
