-- The error for a wait that was too long: PostgreSQL's own does not say for whom.
create or replace function audit.gave_up(relations regclass[])
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'gave up waiting for a lock: %', audit.holders_of(gave_up.relations)
    using errcode = '55P03',
      hint = 'Try again when that transaction has ended, or end it with pg_terminate_backend(). '
        'How long to wait is lock_timeout, ten seconds where it is 0.';
end;
$$;

revoke all on function audit.gave_up(regclass[]) from public;

comment on function audit.gave_up(regclass[]) is
  'Raises that a lock was not to be had, and who holds one on these tables.';
