-- The log is ready for its first row: two years of months and a catch-all at both ends.
select audit.maintain();
