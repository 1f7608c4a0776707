-- Whether a column changed, as SQL that runs nobody's operator. Equal is not the same: 1.1 and 1.10,
-- '1 day' and '24 hours', so what is compared is the image, but for types where they are one.
create or replace function audit.difference(
  declared_type oid, is_plain boolean, was text, is_now text
)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select case when is_plain
    then format('%s is distinct from %s', was, audit.presented(declared_type, is_now))
    else format('record_image_ne(row(%s), row(%s))', was, is_now) end
$$;

revoke all on function audit.difference(oid, boolean, text, text) from public;

comment on function audit.difference(oid, boolean, text, text) is
  'SQL that says whether the old and the new value of a column differ.';
