-- Where a subscription begins to write to the log, an era begins: what comes is of another one, and no
-- place of before, up to which somebody has exported, tells what of it is new. Afterwards, when the
-- subscription is gone, rows with ids that this server has passed long ago could not be told.
create or replace function audit.after_subscription()
  returns event_trigger
  language plpgsql
  security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_newest audit.era;
begin
  select e.* into v_newest from audit.era as e order by e.number desc limit 1;
  -- While an import is under way there is a new era already.
  if v_newest.is_open or not exists (
    select from pg_subscription_rel as w
    where pg_partition_root(w.srrelid) = 'audit.log'::regclass
      and (v_newest.kind <> 'replicated' or w.srsubstate = 'i' or tg_tag = 'CREATE SUBSCRIPTION'))
  then
    return;
  end if;
  begin
    perform audit.begin_era();
  exception
    when lock_not_available then
      raise warning 'no era of the log could begin, which is in use; rows of another server will come'
        using hint = 'As the owner of the log: select audit.begin_era();';
  end;
end;
$$;

revoke all on function audit.after_subscription() from public;

comment on function audit.after_subscription() is
  'Event trigger: begins an era where a subscription writes to the log.';
