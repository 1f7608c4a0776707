-- A setting is pinned only on the tables whose types depend on it: each costs a little.
create or replace function audit.settings_of(types oid[])
  returns text[]
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive base (type, is_domain) as (
    select unnest(types), false
    union
    select t.typbasetype, true
    from base as b join pg_type as t on t.oid = b.type where t.typtype = 'd'
  ), element (type, is_array, is_domain) as (
    select distinct coalesce(nullif(t.typelem, 0), t.oid), t.typelem <> 0, b.is_domain
    from base as b
    join pg_type as t on t.oid = b.type and t.typtype <> 'd'
  ), kind as (
    select
      e.type,
      e.is_array,
      e.is_domain,
      e.type in (
        'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
        'numeric'::regtype, 'time'::regtype, 'timetz'::regtype, 'oid'::regtype, 'name'::regtype,
        'char'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'json'::regtype,
        'jsonb'::regtype)
      -- A domain's values are seen as text.
      or (e.type in ('date'::regtype, 'timestamp'::regtype) and not e.is_array and not e.is_domain)
      or (t.typtype = 'e' and not e.is_array) as is_steady
    from element as e
    join pg_type as t on t.oid = e.type
  )
  select coalesce(array_agg(distinct s order by s), '{}')
  from kind as k
  cross join lateral unnest(case
    when k.is_steady then '{}'::text[]
    when not k.is_array and not k.is_domain
      and k.type in ('timestamptz'::regtype, 'bytea'::regtype) then '{}'
    when k.type in ('date'::regtype, 'timestamp'::regtype) and not k.is_domain
      then array['datestyle = ''ISO''']
    when k.type = 'timestamptz'::regtype and not k.is_domain
      then array['timezone = ''UTC''', 'datestyle = ''ISO''']
    when k.type = 'bytea'::regtype then array['bytea_output = ''hex''']
    when k.type in ('float4'::regtype, 'float8'::regtype) then array['extra_float_digits = ''1''']
    when k.type = 'interval'::regtype then array['intervalstyle = ''postgres''']
    else array['timezone = ''UTC''', 'datestyle = ''ISO''', 'intervalstyle = ''postgres''',
      'extra_float_digits = ''1''', 'bytea_output = ''hex''', 'lc_monetary = ''C''',
      'array_nulls = ''on''', 'quote_all_identifiers = ''off''']
  end) as s
$$;

revoke all on function audit.settings_of(oid[]) from public;

comment on function audit.settings_of(oid[]) is
  'The settings that a function must pin to write values of these types the same for everybody.';
