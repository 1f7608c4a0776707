-- UPDATE, row by row: each changed column goes to one action, each action with columns to the log.
create or replace function audit.update_body(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with rule as (
    select r.*, quote_ident('v_' || r.action) as variable
    from audit.rule_of(t, 'update') as r
  ), taker as (
    select
      a.number, a.name, a.differs, r.variable, r.condition,
      format('%1$s := case when %1$s is null then %2$s else %1$s || %2$s end;', r.variable,
        format('jsonb_build_object(%L, %s)', a.name, a.both_entry)) as assignment,
      row_number() over (partition by a.number
                         order by (r.columns is null)::int, r.number) as n
    from audit.audited_column(t) as a
    join rule as r on r.columns is null or a.name = any (r.columns)
  ), chain as (
    select
      k.number,
      k.differs,
      -- Nothing comes after the first taker without a condition.
      case when min(k.n) filter (where k.condition is null) = 1
        then E'    ' || min(k.assignment) filter (where k.n = 1) || E'\n'
        else string_agg(format(E'    %s then\n      %s\n',
            case when k.n = 1 then 'if ' else 'elsif ' end || coalesce(k.condition, 'true'),
            k.assignment), '' order by k.n) || E'    end if;\n' end as assignments
    from taker as k
    group by k.number, k.differs
  )
  select
    (select string_agg(format(E'  if %s then\n%s  end if;\n', c.differs, c.assignments), ''
                       order by c.number) from chain as c)
    || (
      select string_agg(format(
E'  if %1$s is not null then
    v_actor := nullif(current_setting(''audit.actor'', true), '''')::text[];
%2$s  end if;\n',
        r.variable,
        regexp_replace(audit.insert_log(t, b.row_sql, quote_literal(r.action),
          audit.part_changes(t, b.row_sql,
            concat_ws(' || ', audit.part_identity(t), r.variable)), 'false', '', ''),
          -- Indented, unless that could reach into a string of the declaration.
          case when concat(t.item_id, t.item_label, t.account, t.accounts, t.parent_id, t.part_name)
            ~ '\n' then '(?!)' else '^(?=.)' end, '  ', 'gn')), '' order by r.number)
      from (select variable, action, min(number) as number from rule group by 1, 2) as r
    )
  from (select audit.bind_row(t, 'new', false) as row_sql) as b
$$;

revoke all on function audit.update_body(audit.tracked) from public;

comment on function audit.update_body(audit.tracked) is
  'Body of the compiled function for UPDATE, row by row; null where UPDATE has no action.';
