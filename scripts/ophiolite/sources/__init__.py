"""Readers of raw volumes, one small class per format behind one protocol, imported when first needed."""

from ophiolite.sources.open import check_source, open_source
from ophiolite.sources.source import Source

__all__ = ["Source", "check_source", "open_source"]
