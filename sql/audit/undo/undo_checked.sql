-- The statements of a plan, as far as its conflicts let them run.
create or replace function audit.undo_checked(
  tx bigint, era integer, event text, item_type text, item_id text, at timestamptz,
  on_conflict text, out heads text[], out tails text[], out joined text[]
)
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_steps bigint;
  v_against text[];
begin
  select
      array_agg(p.head order by p.step) filter (where p.is_run),
      array_agg(p.tail order by p.step) filter (where p.is_run),
      array_agg(
        case when p.head like 'insert %' then ', ' when p.head like 'delete %' then ' or ' end
        order by p.step) filter (where p.is_run),
      count(*),
      array_agg(format('%s: %s', concat_ws(' ', p.table_name, p.key),
          coalesce(p.conflict, array_to_string(p.missing, ', '))) order by p.step)
        filter (where p.conflict is not null or p.restorable = 'no')
    into heads, tails, joined, v_steps, v_against
    from (
      select s.*, s.head is not null and (s.conflict is null or on_conflict = 'force') as is_run
      from audit.undo_steps(tx, era, event, item_type, item_id, at) as s
    ) as p;
  if v_steps = 0 then
    raise exception 'nothing to undo'
      using errcode = 'UA011',
        hint = 'Either the log has no such changes, or they came to nothing.';
  elsif v_against is not null and on_conflict = 'stop' then
    raise exception 'not undone: % of % rows cannot go back as they are now; %',
        cardinality(v_against), v_steps, v_against[1]
      using errcode = 'UA011',
        detail = array_to_string(v_against[1:20], E'\n')
          || case when cardinality(v_against) > 20 then E'\n...' else '' end,
        hint = 'See audit.undo_plan(). on_conflict => ''skip'' leaves these rows as they are, '
          '''force'' overwrites what was changed since.';
  end if;
end;
$$;

revoke all on function
  audit.undo_checked(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo_checked(bigint, integer, text, text, text, timestamptz, text) is
  'The statements that undo; an error where there are conflicts that nobody said what to do with.';
