-- Whether the compiled functions are as they were compiled, and have the rights that they shall
-- have.
create or replace function audit.check_functions()
  returns setof audit.finding
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with compiled as (
    select audit.name_of(k.target) as target, f.key as name, f.value as ddl,
      split_part(f.value, E'\nas ', 1) as head,
      audit.role_for(coalesce(k.compiled -> 'owners' ->> f.key, 'audit_writer')) as role, p.*
    from audit.tracked as k
    cross join lateral jsonb_each_text(k.compiled -> 'functions') as f
    left join pg_proc as p on p.oid = to_regproc(format('audit.%I', f.key))
    where audit.name_of(k.target) is not null
  )
  select 'function_changed', 'error', format('audit.%I()', c.name),
    case when c.oid is null
      then format('The function compiled for %s is gone.', c.target)
      else format('The function compiled for %s was replaced or altered by hand.', c.target) end,
    case when c.oid is null then format('select audit.refresh(%L);', c.target)
      else format('drop function audit.%I cascade; select audit.refresh(%L);', c.name, c.target)
    end
  from compiled as c
  where c.oid is null
    or c.prosqlbody is null and (
      right(c.ddl, length(quote_literal(c.prosrc))) <> quote_literal(c.prosrc)
      or c.prosecdef <> (c.head ~ E'\n +security definer\\M')
      or c.prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (c.proconfig), false)
      or coalesce(cardinality(c.proconfig), 0)
        <> (select count(*) from regexp_matches(c.head, E'\n +set ', 'g')))
  union all
  select 'function_owner', 'error', format('audit.%I()', c.name),
    format('The function compiled for %s belongs to %s and writes with the rights of that role.',
      c.target, quote_ident(pg_get_userbyid(c.proowner))),
    format('alter function audit.%I owner to %I;', c.name, c.role)
  from compiled as c
  where pg_get_userbyid(c.proowner) <> c.role
$$;

revoke all on function audit.check_functions() from public;

comment on function audit.check_functions() is
  'Findings: compiled functions that were changed by hand.';
