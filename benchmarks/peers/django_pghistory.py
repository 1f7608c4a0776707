"""Sets up django-pghistory on the tables of a workload: URL, workload, `statement` or `row`."""

from __future__ import annotations

import sys
import types
from typing import Any

import django
from django.apps import AppConfig
from django.conf import settings
from psycopg import conninfo

from benchmarks.systems import UNRECORDED

# Class of the field, and its options, for each column that is not a plain nullable text.
_LICENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "id": ("BigAutoField", {"primary_key": True}),
    "account": ("ForeignKey", {"to": "bench.Account", "on_delete": "DO_NOTHING"}),
    "product": ("ForeignKey", {"to": "bench.Product", "on_delete": "DO_NOTHING"}),
    "order": ("ForeignKey", {"to": "bench.Order", "on_delete": "CASCADE"}),
    "customer": ("ForeignKey", {"to": "bench.Customer", "on_delete": "SET_NULL", "null": True}),
    **dict.fromkeys(("license_key", "consumption_period", "note"), ("TextField", {"null": True})),
    "license_type": ("TextField", {"default": "perpetual"}),
    **dict.fromkeys(
        (
            "is_enabled", "is_trial", "is_floating", "allows_overages",
            "allows_unlimited_consumption", "allows_vm",
        ),
        ("BooleanField", {}),
    ),
    **dict.fromkeys(
        ("floating_users", "times_activated", "transfer_count", "floating_in_use"),
        ("IntegerField", {}),
    ),
    **dict.fromkeys(
        ("max_activations", "transfer_limit", "max_borrow_time"), ("IntegerField", {"null": True})
    ),
    **dict.fromkeys(
        ("max_consumption", "max_overages", "total_consumption"),
        ("BigIntegerField", {"null": True}),
    ),
    **dict.fromkeys(
        (
            "valid_from", "valid_until", "maintenance_until", "reset_at", "consumption_reset_at",
            "last_checked_at", "created_at", "updated_at",
        ),
        ("DateTimeField", {"null": True}),
    ),
    "metadata": ("JSONField", {}),
}  # fmt: skip
_PGBENCH: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "pgbench_accounts": {
        "aid": ("IntegerField", {"primary_key": True}),
        "bid": ("IntegerField", {"null": True}),
        "abalance": ("IntegerField", {"null": True}),
        "filler": ("CharField", {"max_length": 84, "null": True}),
    },
    "pgbench_tellers": {
        "tid": ("IntegerField", {"primary_key": True}),
        "bid": ("IntegerField", {"null": True}),
        "tbalance": ("IntegerField", {"null": True}),
        "filler": ("CharField", {"max_length": 84, "null": True}),
    },
    "pgbench_branches": {
        "bid": ("IntegerField", {"primary_key": True}),
        "bbalance": ("IntegerField", {"null": True}),
        "filler": ("CharField", {"max_length": 88, "null": True}),
    },
    "pgbench_history": {
        "id": ("BigAutoField", {"primary_key": True}),
        "tid": ("IntegerField", {"null": True}),
        "bid": ("IntegerField", {"null": True}),
        "aid": ("IntegerField", {"null": True}),
        "delta": ("IntegerField", {"null": True}),
        "mtime": ("DateTimeField", {"null": True}),
        "filler": ("CharField", {"max_length": 22, "null": True}),
    },
}


def configure(url: str) -> None:
    """Tell Django the database, in a project of one application that has no files."""
    parts = conninfo.conninfo_to_dict(url)
    module = types.ModuleType("bench")
    module.__file__ = __file__
    models = types.ModuleType("bench.models")
    sys.modules |= {"bench": module, "bench.models": models}
    config = type("Bench", (AppConfig,), {"name": "bench", "path": "."})
    config.__module__ = "bench"
    module.__dict__.update(Bench=config, models=models)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts["dbname"],
                "USER": parts["user"],
                "PASSWORD": parts.get("password"),
                "HOST": parts["host"],
                "PORT": parts["port"],
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "pgtrigger", "pghistory", "bench.Bench"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


def model(name: str, table: str, columns: dict[str, tuple[str, dict[str, Any]]]) -> Any:
    """Return a model of a table that exists."""
    from django.db import models

    fields = {}
    for column, (kind, options) in columns.items():
        chosen = dict(options)
        if "on_delete" in chosen:
            chosen["on_delete"] = getattr(models, chosen["on_delete"])
        fields[column] = getattr(models, kind)(**chosen)
    meta = type("Meta", (), {"app_label": "bench", "db_table": table, "managed": False})
    return type(name, (models.Model,), {**fields, "Meta": meta, "__module__": "bench.models"})


def tracked(workload: str) -> list[tuple[Any, list[str]]]:
    """Return the models of a workload, each with the fields it does not record."""
    if workload == "pgbench":
        return [
            (model(table.removeprefix("pgbench_").title(), table, columns), [])
            for table, columns in _PGBENCH.items()
        ]
    for name in ("Account", "Product", "Order", "Customer"):
        model(name, f"{name.lower()}s", {"id": ("BigAutoField", {"primary_key": True})})
    return [(model("License", "licenses", _LICENSE), list(UNRECORDED))]


def install(url: str, workload: str, level: str) -> None:
    """Make pghistory's own tables, an event table for each model, and the triggers."""
    configure(url)
    import pghistory
    import pgtrigger
    from django.apps import apps
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", "pghistory", verbosity=0)
    for one, excluded in tracked(workload):
        pghistory.track(
            pghistory.InsertEvent(),
            pghistory.UpdateEvent(),
            pghistory.DeleteEvent(),
            exclude=excluded or None,
            level=pghistory.Statement if level == "statement" else pghistory.Row,
            app_label="bench",
            meta={"app_label": "bench"},
        )(one)
    with connection.schema_editor() as editor:
        for one in apps.get_app_config("bench").get_models():
            if one._meta.managed:
                editor.create_model(one)
    pgtrigger.install()


if __name__ == "__main__":
    install(*sys.argv[1:])
