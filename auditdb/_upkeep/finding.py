"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the log, or that is good to know of it."""

    finding: str
    """Code of what it is, such as trigger_disabled; the same in every version."""
    severity: str
    """error where rows are missed, changed or seen by the wrong people, or will be; warning; or
    info where nothing is wrong."""
    object: str
    """The table, trigger, role or the like that it is about."""
    message: str
    """What is wrong and what follows from it, for people."""
    mend: str
    """The command that mends it; empty where nothing is to be done."""
