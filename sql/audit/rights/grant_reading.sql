-- What compiled functions read, their roles may read: columns, no more. Where that cannot be had, the
-- declaration is refused, and not the first write.
create or replace function audit.grant_reading(
  t audit.tracked, relation regclass, columns text[], reader text
)
  returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  v_owner name := audit.role_for('owner');
  v_name text := audit.name_of(relation);
  v_list text := (select string_agg(audit.quoted(c), ', ') from unnest(columns) as c);
  v_schema text;
  v_role name;
begin
  select n.nspname into v_schema
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace where c.oid = relation;
  if reader = 'audit_lookup' and audit.role_for('audit_lookup') = v_owner then
    raise exception 'cannot track %: it takes the role audit_lookup to read %, which belongs to %',
      t.target, v_name,
      (select quote_ident(pg_get_userbyid(c.relowner)) from pg_class as c where c.oid = relation)
      using errcode = 'UA005', hint = format('As a superuser: create role audit_lookup nologin; '
        'grant audit_lookup to %I; then select audit.grant_rights();', v_owner);
  end if;
  for v_role in
    select distinct audit.role_for(r) from unnest(case reader when 'owner' then '{}'::text[]
      when 'inline' then array['audit_writer', 'audit_lookup'] else array['audit_lookup'] end) as r
    where audit.role_for(r) <> v_owner
  loop
    begin
      if not has_schema_privilege(v_role, v_schema, 'usage') then
        execute format('grant usage on schema %I to %I', v_schema, v_role);
      end if;
      if exists (select from unnest(columns) as c
                 where not has_column_privilege(v_role, relation, c, 'select')) then
        execute format('grant select (%s) on %s to %I', v_list, v_name, v_role);
      end if;
    exception
      when insufficient_privilege then null;
    end;
    if not has_schema_privilege(v_role, v_schema, 'usage')
      or exists (select from unnest(columns) as c
                 where not has_column_privilege(v_role, relation, c, 'select')) then
      raise exception 'cannot track %: % may not read %', t.target, v_role, v_name
        using errcode = 'UA005', hint = format('grant usage on schema %I to %I; '
          'grant select (%s) on %s to %2$I;', v_schema, v_role, v_list, v_name);
    end if;
  end loop;
  if reader = 'audit_lookup' and audit.is_filtered(relation)
    and not exists (
      select from pg_policy as p
      where p.polrelid = relation and p.polpermissive and p.polcmd in ('r', '*')
        and (0 = any (p.polroles) or to_regrole('audit_lookup') = any (p.polroles))
        and pg_get_expr(p.polqual, p.polrelid) = 'true')
  then
    raise exception 'cannot track %: row security on % hides rows from audit_lookup',
      t.target, v_name
      using errcode = 'UA005', hint = format(
        'create policy audit_lookup on %s for select to audit_lookup using (true);', v_name);
  end if;
end;
$$;

revoke all on function audit.grant_reading(audit.tracked, regclass, text[], text) from public;

comment on function audit.grant_reading(audit.tracked, regclass, text[], text) is
  'Lets the roles of compiled functions read columns of a table, or says why it cannot.';
