-- UPDATE, row by row: each changed column goes to one action, each action with columns to the log.
create or replace function audit.update_body(t audit.tracked, old_side text default 'old')
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with style as (
    -- No indentation where it could reach into a string of the declaration.
    select case when strpos((to_jsonb(t) - 'compiled')::text, E'\\n') > 0 then 0 else 1 end as step
  ), rule as (
    select r.*, quote_ident('v_' || audit.short_name(r.action) || '_changes') as variable
    from audit.rules_of(t, 'update', old_side) as r
  ), taker as (
    select
      a.number, a.differs, r.condition,
      a.name in (select audit.identity_columns(t)) as is_identity,
      format('%1$s := jsonb_set(coalesce(%1$s, ''{}''), %2$L, %3$s);',
        r.variable, array[a.name], a.both_entry) as assignment,
      row_number() over (partition by a.number
                         order by (r.columns is null)::int, r.number) as n
    from audit.audited_columns(t, old_side) as a
    join rule as r on r.columns is null or a.name = any (r.columns)
  ), taken as (
    select
      k.number,
      k.differs,
      k.is_identity,
      bool_and(k.condition is null) as is_simple,
      -- Nothing comes after the first taker without a condition.
      case when min(k.n) filter (where k.condition is null) = 1
        then E'  ' || min(k.assignment) filter (where k.n = 1) || E'\n'
        else string_agg(format(E'  %s\n    %s\n',
            case when k.n > 1 and k.condition is null then 'else'
              else format('%s %s then', case when k.n = 1 then 'if' else 'elsif' end, k.condition)
              end, k.assignment), '' order by k.n) || E'  end if;\n' end as assignments
    from taker as k
    where not exists (select from taker as o
                      where o.number = k.number and o.n < k.n and o.condition is null)
    group by k.number, k.differs, k.is_identity
  ), block as (
    select b.place, count(*) as size, min(b.number) as number,
      string_agg(b.differs, E'\n    or ' order by b.number) as differs,
      string_agg(format(E'if %s then\n%send if;\n', b.differs, b.assignments), ''
        order by b.number) as statements
    from (
      -- Most updates change few columns: one question for five of them, then the five. Where there
      -- are no more than five, the question alone would be one too many.
      select k.*, case when k.is_simple and count(*) over (partition by k.is_simple) > 5
        then (row_number() over (partition by k.is_simple order by k.number) - 1) / 5
        else -k.number end as place
      from taken as k
      where not k.is_identity
    ) as b
    group by b.place
  )
  select
    coalesce((select string_agg(case when b.size = 1 then audit.indent(b.statements, 2 * s.step)
        else format(E'  if %s then\n%s  end if;\n', b.differs,
          audit.indent(b.statements, 4 * s.step)) end,
        '' order by b.number) from block as b), '')
    || audit.moved_body(t, coalesce((
        select string_agg(audit.indent(format(E'if %s then\n%send if;\n', k.differs, k.assignments),
          4 * s.step), '' order by k.number)
        from taken as k where k.is_identity), ''), b.row_sql, s.step, old_side)
    || (select string_agg(audit.update_insert(t, b.row_sql, r.action, s.step, old_side), ''
                          order by r.number)
        from (select action, min(number) as number from rule group by 1) as r)
  from (select audit.bind_row(t, 'new', false) as row_sql) as b
  cross join style as s
$$;

revoke all on function audit.update_body(audit.tracked, text) from public;

comment on function audit.update_body(audit.tracked, text) is
  'Body of the compiled function for UPDATE, row by row; null where UPDATE has no action.';
