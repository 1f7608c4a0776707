-- The rows of the log that are undone: of a transaction, of one event, or of an item since a time.
create or replace function audit.undo_rows(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz
)
  returns setof audit.undo_row
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_eras text;
begin
  if num_nonnulls(tx, event, at) <> 1 or num_nonnulls(item_type, item_id, at) not in (0, 3)
    or (era is not null and tx is null)
  then
    raise exception 'what to undo is one of three: a transaction, an event, or an item since a time'
      using errcode = 'invalid_parameter_value',
        hint = 'For example: audit.undo_plan(tx => 4711), audit.undo_plan(event => ''...''), '
          'audit.undo_plan(item_type => ''license'', item_id => ''42'', at => ''2026-03-01'').';
  elsif tx is not null then
    select string_agg(distinct l.era::text, ', ') into v_eras
      from audit.log as l
      where l.tx = undo_rows.tx and (undo_rows.era is null or l.era = undo_rows.era)
      having count(distinct l.era) > 1;
    if found then
      raise exception 'several transactions have the number %', tx
        using errcode = 'invalid_parameter_value',
          hint = format('Say which one: era is one of %s.', v_eras);
    end if;
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.log as l
      where l.tx = undo_rows.tx and (undo_rows.era is null or l.era = undo_rows.era)
        -- That an item is another one now is told on both sides.
        and not coalesce(l.moved ? 'to', false);
  elsif event is not null then
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.event(undo_rows.event) as e
      join audit.log as l on l.occurred_at = e.occurred_at and l.id = e.id and l.tx = e.tx;
  else
    return query
      select row_number() over (order by l.occurred_at, l.id, l.tx), l.layout, l.row_values,
        l.changes, l.is_deleted, l.action::text, l.item_type::text, l.item_id::text,
        l.parent_id::text, l.account_id::text
      from audit.log as l
      where l.item_id = undo_rows.item_id and l.item_type = undo_rows.item_type
        and l.occurred_at > undo_rows.at;
  end if;
end;
$$;

revoke all on function audit.undo_rows(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_rows(bigint, integer, text, text, text, timestamptz) is
  'The rows of the log of a transaction, of one event, or of an item after a time.';
