"""What every part of the plan is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen part of the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)
