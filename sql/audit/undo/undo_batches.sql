-- Neighbouring steps that can be one statement, up to a hundred: rows that come back to one table,
-- or that go from one.
create or replace function audit.undo_batches(heads text[], tails text[], joined text[])
  returns table (statement text, count integer)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with step as (
    select u.n, u.head, u.tail, u.joint,
      u.joint is null or u.head is distinct from lag(u.head) over (order by u.n) as is_first
    from unnest(heads, tails, joined) with ordinality as u (head, tail, joint, n)
  ), run as (
    select s.*, count(*) filter (where s.is_first) over (order by s.n) as run from step as s
  ), batch as (
    select r.*, (row_number() over (partition by r.run order by r.n) - 1) / 100 as part
    from run as r
  )
  select min(b.head) || string_agg(b.tail, coalesce(b.joint, '') order by b.n), count(*)::integer
  from batch as b
  group by b.run, b.part
  order by min(b.n)
$$;

revoke all on function audit.undo_batches(text[], text[], text[]) from public;

comment on function audit.undo_batches(text[], text[], text[]) is
  'The statements of an undo, those of neighbours in one.';
