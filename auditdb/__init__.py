"""The public names of auditdb."""

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
    "InvalidDeclaration",
    "NoTransaction",
    "NotTracked",
    "Page",
    "TriggersOutOfDate",
    "TruncateRefused",
    "changes",
    "page",
    "pages",
]
