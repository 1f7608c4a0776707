-- The steps of an undo, with their statements in two pieces: steps of one first piece can be one
-- statement.
create or replace function audit.undo_steps(
  tx bigint,
  era integer,
  event text,
  item_type text,
  item_id text,
  at timestamptz
)
  returns table (
    step integer,
    table_name text,
    key text,
    operation text,
    head text,
    tail text,
    conflict text,
    restorable text,
    missing text[]
  )
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set timezone = 'UTC'
  set datestyle = 'ISO'
  set intervalstyle = 'postgres'
  set extra_float_digits = 1
  set bytea_output = 'hex'
  set lc_monetary = 'C'
  set array_nulls = on
  set quote_all_identifiers = off
  set xmloption = 'content'
  set jit = off
as $$
#variable_conflict use_column
declare
  v_rows audit.undo_row[];
  v_changes audit.undo_change[];
  v_nets audit.undo_net[];
begin
  v_rows := array(select r::audit.undo_row
    from audit.undo_rows(undo_steps.tx, undo_steps.era, undo_steps.event, undo_steps.item_type,
      undo_steps.item_id, undo_steps.at) as r);
  v_changes := array(select c::audit.undo_change from audit.undo_changes(v_rows) as c);
  v_nets := array(select n::audit.undo_net from audit.undo_nets(v_changes) as n);
  v_nets := array(select n::audit.undo_net from audit.undo_present(v_nets) as n);
  v_nets := array(select n::audit.undo_net from audit.undo_references(v_nets) as n);
  return query
    with statement as materialized (
      select s.*, row_number() over (order by s.place desc, s.target, s.key) as position,
        case s.operation when 'insert' then 1 when 'delete' then -1 else 0 end as class,
        coalesce(l.number, 0) as level
      from audit.undo_statements(v_nets) as s
      left join audit.undo_levels(array(select distinct n.target from unnest(v_nets) as n)) as l
        on l.target = s.target
    ), ranked as (
      -- The last is undone first. Where rows come back, tables that others refer to come before
      -- these; where rows go, after.
      select s.*,
        case when s.class = 0 then s.position
          else row_number() over (partition by s.class order by s.level * s.class, s.position)
          end as rank,
        case when s.class = 0 then s.position
          else row_number() over (partition by s.class order by s.position) end as slot
      from statement as s
    )
    select (row_number() over (order by p.position))::integer,
      case when r.target is not null then audit.name_of(r.target) end,
      case when cardinality(r.key) = 1 then r.key[1]
        else array_to_string(array(select replace(replace(k, '~', '~0'), '/', '~1')
          from unnest(r.key) as k), '/') end,
      r.operation, r.head, r.tail, nullif(array_to_string(r.conflicts, '; '), ''),
      case when r.problem is not null
          or (r.head is null and r.operation = 'update' and cardinality(r.conflicts) = 0) then 'no'
        when cardinality(r.missing) > 0 then 'partly' else 'yes' end,
      case when r.problem is not null then array[r.problem] || r.missing else r.missing end
    from ranked as p
    join ranked as r on r.class = p.class and r.rank = p.slot
    order by 1;
end;
$$;

revoke all on function audit.undo_steps(bigint, integer, text, text, text, timestamptz) from public;

comment on function audit.undo_steps(bigint, integer, text, text, text, timestamptz) is
  'The steps that undo, in their order: rows, the two pieces of a statement, conflicts, what is '
  'missing.';
