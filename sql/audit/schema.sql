-- The schema of the engine: the log, what is tracked, and the functions that bind them.
create schema if not exists audit;

revoke all on schema audit from public;

-- Every client may name its actor (audit.set_actor); all else in here is granted object by object.
grant usage on schema audit to public;

comment on schema audit is 'Audit log: one row for every essential action on the tracked tables.';
