-- The table of both examples, and what is recorded of it. Run `auditdb upgrade audit@head` first.
create table invoice (
  id bigint generated always as identity primary key,
  number text not null,
  total numeric(12, 2) not null,
  due date not null,
  status text not null default 'open'
);

select audit.track(
  'invoice',
  item_label => 'number',
  actions => $$[
    {"action": "invoice_created", "on": "insert"},
    {"action": "invoice_paid", "on": "update", "when": "new.status = 'paid'"},
    {"action": "invoice_overdue", "on": "update", "when": "new.status = 'overdue'"},
    {"action": "invoice_updated", "on": "update"},
    {"action": "invoice_deleted", "on": "delete"}
  ]$$
);
