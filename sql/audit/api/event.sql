-- The way back from a key to its row. The time in it says which partition, the transaction or, where
-- it is given, the account which part of that.
create or replace function audit.event(key text, account_id text default null)
  returns setof audit.events
  language sql
  stable
as $$
  select e.*
  from audit.events as e
  cross join (
    select regexp_match(event.key, '^(-?\d{1,19})-(-?\d{1,19})-(-?\d{1,19})$')::numeric[] as parts
  ) as k
  -- A number that no time, id or transaction can be is the key of no row. In a timestamp without
  -- zone every step is immutable, so that partitions are left out when the query is planned; counted
  -- from 2000 on, the last times are intervals too.
  where e.occurred_at = case
      when k.parts[1] between -210866803200000000 and 9224318015999999999 then
        (timestamp '2000-01-01'
          + div(k.parts[1] - 946684800000000, 3600000000)::float8 * interval '1 hour'
          + mod(k.parts[1] - 946684800000000, 3600000000)::float8 * interval '1 microsecond')
        at time zone 'UTC' end
    and e.id = case when abs(k.parts[2]) < 9223372036854775808 then k.parts[2]::bigint end
    and e.tx = case when abs(k.parts[3]) < 9223372036854775808 then k.parts[3]::bigint end
    and (event.account_id is null or e.account_id = event.account_id)
$$;

revoke all on function audit.event(text, text) from public;

comment on function audit.event(text, text) is
  'Public. The event with a key (audit.events.key), found by the partition of its time; with its '
  'account by index.';
