-- Undoes what audit.undo_plan() shows, by ordinary statements with the rights and the search path
-- of whoever calls it, so that the tables' own triggers run as always. It is in the log like every
-- change, with what was undone in its context.
create or replace function audit.undo(
  tx bigint default null,
  era integer default null,
  event text default null,
  item_type text default null,
  item_id text default null,
  at timestamptz default null,
  on_conflict text default 'stop'
)
  returns integer
  language plpgsql
  -- How values in the statements are read.
  set intervalstyle = 'postgres'
  set lc_monetary = 'C'
  set array_nulls = on
  set xmloption = 'content'
as $$
declare
  v_actor constant pg_catalog.text := audit.undo_begin(
    $1, $2, $3, $4, $5, $6, $7);
  v_heads pg_catalog.text[];
  v_tails pg_catalog.text[];
  v_joined pg_catalog.text[];
begin
  select c.heads, c.tails, c.joined into v_heads, v_tails, v_joined
    from audit.undo_checked($1, $2, $3, $4, $5, $6, $7) as c;
  perform audit.undo_run(v_heads, v_tails, v_joined);
  perform pg_catalog.set_config('audit.actor', v_actor, true);
  return coalesce(pg_catalog.cardinality(v_heads), 0);
end;
$$;

revoke all on function
  audit.undo(bigint, integer, text, text, text, timestamptz, text) from public;

comment on function audit.undo(bigint, integer, text, text, text, timestamptz, text) is
  'Public. Undoes a transaction, an event, or what was done to an item since a time; returns how '
  'many steps it took. With conflicts it does nothing, unless on_conflict says skip or force.';
