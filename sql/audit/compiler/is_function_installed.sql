-- Whether a compiled function is as it was compiled, and has the rights that it shall have.
create or replace function audit.is_function_installed(name text, ddl text, owner text)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from pg_proc as f
    where f.oid = to_regproc(format('audit.%I', name))
      and pg_get_userbyid(f.proowner) = audit.role_for(coalesce(owner, 'audit_writer'))
      -- A bound one has a parsed body, and its name says which.
      and (f.prosqlbody is not null
        or right(ddl, length(quote_literal(f.prosrc))) = quote_literal(f.prosrc)))
$$;

revoke all on function audit.is_function_installed(text, text, text) from public;

comment on function audit.is_function_installed(text, text, text) is
  'Whether a compiled function is there, as it was compiled, with its owner.';
