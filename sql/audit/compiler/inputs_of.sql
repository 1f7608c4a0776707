-- All that audit.compile_table() makes its functions and triggers of, as a digest: while it is the
-- same, so is what comes out. It takes a hundredth of the time that compiling takes, which is what
-- a refresh or a check of many tables would spend.
create or replace function audit.inputs_of(
  t audit.tracked, compiler text default audit.compiler_digest()
)
  returns text
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
  set quote_all_identifiers = off
as $$
begin
  -- What follows the colon is one thing for all tables: whether an event trigger follows DDL.
  return md5(concat_ws(E'\n',
      compiler,
      audit.fingerprint(t),
      (select r::text from audit.table_trait(t.target) as r),
      -- Whatever other tables are called that nothing is asked of.
      (select string_agg(case when c.confrelid = 0 or c.confrelid = any (t.tables::oid[])
          then pg_get_constraintdef(c.oid)
          else split_part(pg_get_constraintdef(c.oid), ' REFERENCES ', 1) end, E'\n' order by c.conname)
       from pg_constraint as c where c.conrelid = t.target and c.contype in ('f', 'p')),
      (select string_agg(k::text, E'\n' order by k.number) from audit.cascades_of(t) as k),
      audit.cascade_gate(t),
      audit.role_for('audit_writer'), audit.role_for('audit_lookup'),
      t.account_tables, t.account_reader,
      concat_ws('|', t.id, t.slug, t.item_type, t.item_id, t.item_label, t.account, t.accounts,
        t.parent_type, t.parent_id, t.part, t.part_name, t.require_actor, t.on_truncate, t.layout),
      t.operational, t.secret, t.lookups, t.actions, t.tables, audit.name_of(t.target)))
    || ':' || audit.follows_ddl()::text;
end;
$$;

revoke all on function audit.inputs_of(audit.tracked, text) from public;

comment on function audit.inputs_of(audit.tracked, text) is
  'Digest of all that the compiled functions and triggers of a table are made of.';
