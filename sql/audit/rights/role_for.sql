-- Compiled functions belong to roles of least rights: audit_writer, which can add rows to the log and
-- nothing else, and audit_lookup, which can read the looked-up columns and nothing else. Where the
-- owner of the log has no such role to give, to the owner itself.
create or replace function audit.role_for(role text)
  returns name
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case
    when role_for.role <> 'owner' and to_regrole(role_for.role) is not null
      and (r.rolsuper or pg_has_role(r.oid, to_regrole(role_for.role),
        case when current_setting('server_version_num')::integer < 160000 then 'MEMBER'
          else 'SET' end))
    then role_for.role::name
    else r.rolname end
  from pg_class as c
  join pg_roles as r on r.oid = c.relowner
  where c.oid = 'audit.log'::regclass
$$;

revoke all on function audit.role_for(text) from public;

comment on function audit.role_for(text) is
  'The role that a compiled function shall belong to: audit_writer, audit_lookup, or else the owner '
  'of the log.';
