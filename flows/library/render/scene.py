"""What is to be rendered."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Scene(BaseModel):
    """One scene of the film."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: Annotated[str, Field(description="what is to be seen", min_length=1, max_length=500)]
    seconds: Annotated[float, Field(description="how long it lasts", gt=0, le=60)] = 2.0


class Size(BaseModel):
    """How large the picture is, in points."""

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
