-- What a compiled function relies on. When it changes, the function is out of date. Asked in every
-- new session at the first write to a table, so it reads the catalogue and parses nothing.
create or replace function audit.fingerprint(t audit.tracked)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select left(md5(concat_ws(E'\n',
    (select string_agg(concat_ws(' ', a.atttypid::regtype,
                                 nullif(a.attcollation, 0)::regcollation,
                                 a.attgenerated, a.attname), E'\n' order by a.attnum)
     from pg_attribute as a
     where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped),
    (select string_agg(a.attname, ' ' order by a.attname)
     from audit.key_of(t.target) as k (numbers)
     join pg_attribute as a on a.attrelid = t.target and a.attnum = any (k.numbers)),
    (select string_agg(regexp_replace(d.def, ' NOT VALID| DEFERRABLE| INITIALLY DEFERRED', '', 'g'),
                       E'\n' order by c.conname)
     from pg_constraint as c
     cross join lateral pg_get_constraintdef(c.oid) as d (def)
     where c.conrelid = t.target and c.contype = 'f' and c.confdeltype = 'c'
       and d.def !~ ' NOT ENFORCED$'),
    -- In a hierarchy rows are written past its triggers.
    (select 'child' where exists (select from pg_inherits as i where i.inhrelid = t.target)),
    (select 'parent' where exists (
      select from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
      where i.inhparent = t.target and not c.relispartition)),
    (select string_agg(concat_ws(' ', c ->> 'alias', audit.name_of(a.attrelid),
                                 a.atttypid::regtype, a.attname),
                       E'\n' order by c ->> 'alias', c ->> 'name')
     from jsonb_array_elements(t.columns) as c
     join pg_attribute as a
       on a.attrelid = t.tables[(c ->> 'table')::int]
       and case when a.attrelid::text = c ->> 'relation' then a.attnum = (c ->> 'number')::int
         else a.attname = c ->> 'name' end
     where c ->> 'alias' is not null),
    (select string_agg(concat_ws(' ', audit.name_of(r), audit.reader_of(r, '{}')), ' ' order by n)
     from unnest(t.tables) with ordinality as u (r, n) where r <> t.target))), 12)
$$;

revoke all on function audit.fingerprint(audit.tracked) from public;

comment on function audit.fingerprint(audit.tracked) is
  'Digest of the columns and triggers that the compiled functions of a table rely on.';
