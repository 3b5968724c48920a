"""The config file: one pydantic model, from which defaults, messages, documentation and schema come."""

from ophiolite.config.load import load_config
from ophiolite.config.model import Config

__all__ = ["Config", "load_config"]
