"""What type checkers are shown: samples that use every public name, which `make lint` checks."""

import re

import pytest

import auditdb
from tests.support import ROOT

pytestmark = pytest.mark.quick

SAMPLES = ("sample_application.py", "typing_sample.py")


def test_the_samples_use_every_public_name() -> None:
    here = ROOT / "tests" / "support"
    text = "\n".join((here / name).read_text("utf-8") for name in SAMPLES)
    assert {name for name in auditdb.__all__ if not re.search(rf"\b{name}\b", text)} == set()
