-- Whether a record of the log keeps a type as it is. The text of such a value reads back whatever
-- catalogue, locale or setting there is then: not that of a reg type, whose object may be gone, of
-- money, of an access right, nor of a type that somebody made, which can be changed or dropped.
create or replace function audit.is_kept(type oid)
  returns boolean
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select audit.is_builtin(is_kept.type)
    and e.typname !~ '^reg'
    and e.oid <> all (array['aclitem'::regtype, 'money'::regtype, 'xml'::regtype,
      'json'::regtype]::oid[])
    -- Written in hexadecimal by hand, a single one needs no setting.
    and is_kept.type <> 'bytea'::regtype
  from pg_type as e
  where e.oid = audit.element_of(is_kept.type)
$$;

revoke all on function audit.is_kept(oid) from public;

comment on function audit.is_kept(oid) is
  'Whether values of a type are kept in a record of the log as they are; others as their text.';
