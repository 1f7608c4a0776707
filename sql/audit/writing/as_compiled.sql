-- A column in a compiled function has the type that it was compiled for, or the statement that would
-- have used it is a parse error: no cast is looked for, and no operator of another type. It is put
-- into the statement when that is planned, and costs nothing. So it has no settings of its own.
create or replace function audit.as_compiled(value anyelement, type anyelement)
  returns anyelement
  language sql
  immutable
  parallel safe
as 'select $1';

revoke all on function audit.as_compiled(anyelement, anyelement) from public;

comment on function audit.as_compiled(anyelement, anyelement) is
  'The first argument, which has to be of exactly the type of the second.';
