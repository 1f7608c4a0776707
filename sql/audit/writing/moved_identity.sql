-- What is said of an item that is another one from now on, or of another account or parent. Where
-- the account is one of several, each of them is told by a row of its own.
create or replace function audit.moved_identity(side text, this text[], other text[])
  returns jsonb
  language sql
  immutable
  set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(side, coalesce(jsonb_object_agg(f.name, f.other), '{}'))
  from unnest(array['account_id', 'item_id', 'parent_id'], this, other) as f (name, this, other)
  where f.this is distinct from f.other
$$;

revoke all on function audit.moved_identity(text, text[], text[]) from public;

comment on function audit.moved_identity(text, text[], text[]) is
  'The value of moved: on which side the item is, and what it is known by on the other.';
