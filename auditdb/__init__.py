"""The public names of auditdb. Each is loaded when it is first used, with what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditdb import errors as errors
    from auditdb._actor.instrument import instrument
    from auditdb._actor.scope import Actor, ActorScope, actor, current_actor
    from auditdb._query.histories import (
        changes,
        event,
        field_history,
        item_history,
        state_at,
        transaction_events,
        value_at,
    )
    from auditdb._query.queries import counts, events, iter_events
    from auditdb._query.records import Change, Count, Event, FieldChange, ItemState, NoValue, Page
    from auditdb._query.undoing import UndoStep, undo, undo_plan
    from auditdb._tracking.declaration import Action, Tracked, declare
    from auditdb._upkeep.check import check
    from auditdb._upkeep.finding import Finding
    from auditdb._upkeep.upgrade import upgrade
    from auditdb.errors import (
        ActorRequired,
        AppendOnly,
        AuditError,
        CannotTrack,
        DatabaseFailed,
        DatabaseUnreachable,
        DowngradeRefused,
        EmbeddedMissing,
        ExportFailed,
        ImportFailed,
        InvalidActor,
        InvalidCursor,
        InvalidDeclaration,
        InvalidExport,
        InvalidQuestion,
        InvalidUrl,
        LogBusy,
        MigrationFailed,
        NoTransaction,
        NotTracked,
        PermissionDenied,
        SchemaAhead,
        SchemaBehind,
        SchemaForeign,
        SchemaMissing,
        TriggersOutOfDate,
        TruncateRefused,
        UndoRefused,
        WatermarkRefused,
        translate,
        translated,
    )

    __version__: str

__all__ = [
    "Action",
    "Actor",
    "ActorRequired",
    "ActorScope",
    "AppendOnly",
    "AuditError",
    "CannotTrack",
    "Change",
    "Count",
    "DatabaseFailed",
    "DatabaseUnreachable",
    "DowngradeRefused",
    "EmbeddedMissing",
    "Event",
    "ExportFailed",
    "FieldChange",
    "Finding",
    "ImportFailed",
    "InvalidActor",
    "InvalidCursor",
    "InvalidDeclaration",
    "InvalidExport",
    "InvalidQuestion",
    "InvalidUrl",
    "ItemState",
    "LogBusy",
    "MigrationFailed",
    "NoTransaction",
    "NoValue",
    "NotTracked",
    "Page",
    "PermissionDenied",
    "SchemaAhead",
    "SchemaBehind",
    "SchemaForeign",
    "SchemaMissing",
    "Tracked",
    "TriggersOutOfDate",
    "TruncateRefused",
    "UndoRefused",
    "UndoStep",
    "WatermarkRefused",
    "actor",
    "changes",
    "check",
    "counts",
    "current_actor",
    "declare",
    "event",
    "events",
    "field_history",
    "instrument",
    "item_history",
    "iter_events",
    "state_at",
    "transaction_events",
    "translate",
    "translated",
    "undo",
    "undo_plan",
    "upgrade",
    "value_at",
]

# Where the names are defined; those that are not listed, in the errors.
_ROOMS = {
    "_actor.instrument": "instrument",
    "_actor.scope": "Actor ActorScope actor current_actor",
    "_query.histories": (
        "changes event field_history item_history state_at transaction_events value_at"
    ),
    "_query.queries": "counts events iter_events",
    "_query.records": "Change Count Event FieldChange ItemState NoValue Page",
    "_query.undoing": "UndoStep undo undo_plan",
    "_tracking.declaration": "Action Tracked declare",
    "_upkeep.check": "check",
    "_upkeep.finding": "Finding",
    "_upkeep.upgrade": "upgrade",
}

if not TYPE_CHECKING:  # a type checker would take whatever is asked for to be there
    _HOME = dict.fromkeys(__all__, "errors")
    _HOME |= {name: room for room, names in _ROOMS.items() for name in names.split()}

    def __getattr__(name):
        from importlib import import_module

        if name == "errors":
            return import_module("auditdb.errors")
        if name == "__version__":
            found = import_module("importlib.metadata").version("auditdb")
        elif name in _HOME:
            found = getattr(import_module(f"auditdb.{_HOME[name]}"), name)
        else:
            raise AttributeError(f"module 'auditdb' has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__():
        return sorted({*globals(), *__all__, "__version__", "errors"})
