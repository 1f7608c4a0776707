"""What tests share: servers, samples, models and what they do again and again."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
