"""The public names of auditdb."""

from auditdb.check import Finding, check
from auditdb.errors import (
    ActorRequired,
    AppendOnly,
    AuditError,
    CannotTrack,
    DowngradeRefused,
    InvalidDeclaration,
    NoTransaction,
    NotTracked,
    TriggersOutOfDate,
    TruncateRefused,
)
from auditdb.log import Change, Event, Filter, Page, changes, page, pages

__all__ = [
    "ActorRequired",
    "AppendOnly",
    "AuditError",
    "CannotTrack",
    "Change",
    "DowngradeRefused",
    "Event",
    "Filter",
    "Finding",
    "InvalidDeclaration",
    "NoTransaction",
    "NotTracked",
    "Page",
    "TriggersOutOfDate",
    "TruncateRefused",
    "changes",
    "check",
    "page",
    "pages",
]
