-- The schema of the platform that is audited: to the engine it is like any other.
create schema if not exists licensing;

comment on schema licensing is
  'Core tables of a software-licensing platform, and the audit log of its items.';
