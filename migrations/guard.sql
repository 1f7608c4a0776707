-- Makes schema audit, or refuses the one that is there: before anything else is written. Whoever
-- owns the schema, or something in it, could have a function of theirs called by the upgrade, with
-- the rights of the role that runs it.
do $$
declare
  v_path     text := pg_catalog.current_setting('search_path');
  v_schema   oid;
  v_owner    regrole;
  v_may      boolean;
  v_versions oid;
  v_number   bigint := 0;
  v_is_ours  boolean := false;
  v_count    bigint;
  v_held     text;
  v_others   text;
  v_defaults text;
  v_says     text;
  v_hint     text := 'Rename it (alter schema audit rename to audit_before;), move what is in it, '
                     'or install auditdb in another database.';
begin
  -- So that no function or operator of a stranger's is found while this looks.
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  select n.oid, n.nspowner into v_schema, v_owner from pg_namespace as n where n.nspname = 'audit';
  if not found then
    -- Not "if not exists": one that somebody made meanwhile has not been looked at.
    create schema audit;
    perform set_config('search_path', v_path, true);
    return;
  end if;

  -- A role may work in what is its own; superusers have the same rights whichever it is.
  v_may := v_owner = current_user::regrole
    or (select bool_and(r.rolsuper) from pg_roles as r
        where r.oid in (v_owner, current_user::regrole));
  -- A table of the form that Alembic gives it, and no view: reading it runs nobody's code.
  select c.oid into v_versions
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attname = 'version_num'
  where c.relnamespace = v_schema and c.relname = 'alembic_version' and c.relkind = 'r'
    and not c.relrowsecurity and a.atttypid = 'varchar'::regtype;
  if v_may and v_versions is not null then
    select count(*), coalesce(bool_or(v.version_num ~ '^(audit|licensing)_[0-9]{4}$'), false)
      into v_number, v_is_ours
    from audit.alembic_version as v;
  end if;

  -- In a log that is there already, what its owner or a superuser made is nobody's trap. An empty
  -- version table is left where a log was taken away.
  with held as (
    select i.type as kind, i.identity as name, r.rolname as owner,
      row_number() over (
        order by i.type <> 'table', i.type <> 'function', i.type collate "C",
          i.identity collate "C") as number
    from (
      select distinct d.classid, d.objid
      from pg_depend as d
      where d.refclassid = 'pg_namespace'::regclass and d.refobjid = v_schema and d.deptype = 'n'
    ) as d
    cross join lateral pg_identify_object(d.classid, d.objid, 0) as i
    left join pg_shdepend as s
      on s.dbid = (select b.oid from pg_database as b where b.datname = current_database())
      and s.classid = d.classid and s.objid = d.objid and s.deptype = 'o'
    -- What the first superuser owns is not noted as a dependency.
    join pg_roles as r on r.oid = coalesce(s.refobjid, 10)
    where case
        -- Compiled functions belong to roles that may create nothing here themselves.
        when v_is_ours then not r.rolsuper and r.oid <> v_owner
          and (d.classid <> 'pg_proc'::regclass or r.rolname not in ('audit_writer', 'audit_lookup'))
        else v_number > 0 or d.classid <> 'pg_class'::regclass
          or d.objid is distinct from v_versions
      end
  )
  select count(*), format('it belongs to role %s and holds %s (%s): %s%s',
      v_owner, case count(*) when 1 then '1 object' else count(*) || ' objects' end,
      (select string_agg(format('%s %s', k.kind, k.number), ', ' order by k.kind collate "C")
       from (select h.kind, count(*) as number from held as h group by h.kind) as k),
      string_agg(format('%s %s of %I', h.kind, left(h.name, 200), h.owner), ', ' order by h.number)
        filter (where h.number <= 5),
      case when count(*) > 5 then format(', and %s more', count(*) - 5) end)
    into v_count, v_held
  from held as h;
  select string_agg(distinct case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
      ', ')
    into v_others
  from pg_namespace as n
  cross join aclexplode(n.nspacl) as a
  where n.oid = v_schema and a.privilege_type = 'CREATE' and a.grantee <> v_owner;

  -- Rights on whatever is made here, so that the log would be theirs too.
  select string_agg(distinct format('%s to %s (by %s)', lower(a.privilege_type),
        case when a.grantee = 0 then 'public' else a.grantee::regrole::text end,
        d.defaclrole::regrole), ', ')
    into v_defaults
  from pg_default_acl as d
  cross join aclexplode(d.defaclacl) as a
  where d.defaclnamespace = v_schema and a.grantee <> d.defaclrole;

  if v_is_ours then
    if v_count > 0 then
      v_says := 'schema audit holds what is not of auditdb: ' || v_held;
      v_hint := 'Drop it, or give it to the owner of the schema, if you know what it does.';
    end if;
  elsif not v_may and v_versions is not null then
    v_says := format('schema audit belongs to role %s, and this is role %I', v_owner, current_user);
    v_hint := format('If it is the log of auditdb, upgrade as that role: PGOPTIONS="-c role=%s" '
      'does. If not, rename the schema or use another database.', v_owner);
  elsif v_count > 0 then
    v_says := 'schema audit was not made by auditdb: ' || v_held;
  elsif not v_may then
    v_says := format('schema audit is empty and belongs to role %s, who could put functions into '
      'it that this role, %I, would call', v_owner, current_user);
    v_hint := format('Drop it (drop schema audit;), or give it to the role that upgrades: '
      'alter schema audit owner to %I;', current_user);
  elsif v_others is not null then
    v_says := format('schema audit is empty, but others could put functions into it that this '
      'role, %I, would call: %s', current_user, v_others);
    v_hint := format('revoke create on schema audit from %s;', v_others);
  elsif v_defaults is not null then
    v_says := 'default privileges in schema audit would give others rights on the log: '
      || v_defaults;
    v_hint := 'Drop the schema (drop schema audit;), or take them back with alter default '
      'privileges in schema audit; psql lists them with \ddp.';
  end if;
  if v_says is not null then
    raise exception using errcode = 'UA010', message = v_says, hint = v_hint;
  end if;
  if v_is_ours then
    -- One upgrade at a time: Alembic reads the table after this. Nobody but its owner can lock it so.
    lock table audit.alembic_version in share row exclusive mode;
  end if;
  perform set_config('search_path', v_path, true);
end;
$$
