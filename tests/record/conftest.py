"""What tests of this room share: a database in which a stranger owns what is tracked."""

import pytest

from tests.conftest import CreateRole
from tests.support.servers import Server
from tests.support.strangers import Lair, lair_of


@pytest.fixture
def lair(server: Server, engine_database: str, create_role: CreateRole) -> Lair:
    """A database with schema audit, a stranger, and somebody else who writes his tables."""
    return lair_of(server, engine_database, create_role)
