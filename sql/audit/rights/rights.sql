-- The roles get their rights on all that is there now; what a DBA has to do first is printed.
select audit.grant_rights();
