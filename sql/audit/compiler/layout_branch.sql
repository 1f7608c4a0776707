-- A tree of questions about a number, halved at each: of a thousand layouts ten are asked. It is put
-- together from its leaves, two and two, for it is made anew with every layout.
create or replace function audit.layout_branch(ids integer[], call text)
  returns text
  language plpgsql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_firsts integer[] := ids;
  v_branches text[] := array(
    select format(E'  if layout = %s then\n    return %s;\n  end if;\n', u.id, format(call, u.id))
    from unnest(ids) with ordinality as u (id, n)
    order by u.n);
begin
  while cardinality(v_firsts) > 1 loop
    select
        array_agg(p.firsts[1] order by p.n),
        array_agg(case when cardinality(p.firsts) = 1 then p.branches[1]
          else format(E'  if layout < %s then\n%s  else\n%s  end if;\n',
            p.firsts[2], p.branches[1], p.branches[2]) end order by p.n)
      into v_firsts, v_branches
      from (
        select (u.n - 1) / 2 as n,
          array_agg(u.first order by u.n) as firsts, array_agg(u.branch order by u.n) as branches
        from unnest(v_firsts, v_branches) with ordinality as u (first, branch, n)
        group by 1
      ) as p;
  end loop;
  return coalesce(v_branches[1], '');
end;
$$;

revoke all on function audit.layout_branch(integer[], text) from public;

comment on function audit.layout_branch(integer[], text) is
  'SQL that calls the function of a layout by its number.';
