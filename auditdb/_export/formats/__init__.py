"""The formats of exports: one module each, and the registry that all else asks."""

from __future__ import annotations

from auditdb._export.compression import COMPRESSIONS
from auditdb._export.formats.base import Form
from auditdb._export.formats.csv import Csv
from auditdb._export.formats.jsonl import JsonLines
from auditdb._export.formats.parquet import Parquet
from auditdb._export.versions import CURRENT, FormatVersion

FORMATS = {one.name: one for one in (Csv(), JsonLines(), Parquet())}
"""Every format, by its name."""


def form(
    format_name: str,
    compression_name: str = "none",
    *,
    spreadsheet: bool = False,
    version: FormatVersion | None = None,
) -> Form:
    """Return the form of these names, by default of the newest version; raises ValueError."""
    if format_name not in FORMATS or compression_name not in COMPRESSIONS:
        raise ValueError("its data have no known format")
    found = FORMATS[format_name], COMPRESSIONS[compression_name]
    return Form(*found, spreadsheet, version or CURRENT)
