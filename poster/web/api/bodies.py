"""What requests carry, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobboard.states import State
from poster.durations import LONGEST_S
from poster.post_request import LONGEST_KEY, LONGEST_REASON, MAX_RETRIES

MOST_JOBS: Final = 10_000

_Seconds = Annotated[float, Field(strict=True, ge=0, le=LONGEST_S)]
Duration = _Seconds | Annotated[str, Field(max_length=40)]
Reason = Annotated[str, Field(max_length=LONGEST_REASON, description="Why: the job's history will tell.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewJob(_Body):
    """A job to post. Null for a limit means: as the flow says, else as the settings say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "flow": "process_files",
                    "arguments": {"source": "/data", "target": "/backup/data.tar.gz"},
                    "timeout": "10m",
                    "key": "backup-2025-01-31",
                }
            ]
        }
    )

    flow: Annotated[str, Field(min_length=1, max_length=255)]
    arguments: Annotated[dict[str, Any], Field(description="By name, as the flow's schema has them.")] = {}
    priority: Literal["very_high", "high", "normal", "low", "very_low"] = "normal"
    delay: Annotated[Duration, Field(description="Seconds, or `90`, `30s`, `5m`, `1h30m`.")] = 0
    timeout: Annotated[Duration | None, Field(description="Running time of an attempt.")] = None
    max_retries: Annotated[int | None, Field(strict=True, ge=0, le=MAX_RETRIES)] = None
    retry_interval: Annotated[Duration | None, Field(description="Between automatic retries.")] = None
    key: Annotated[
        str | None,
        Field(
            min_length=1, max_length=LONGEST_KEY, description="Gives the job back that has it and has not ended."
        ),
    ] = None


class CancelBody(_Body):
    """A cancel."""

    reason: Reason | None = None


class RetryBody(_Body):
    """A retry: of all, with other arguments, or of the cleanup only; or one that gives effects up."""

    arguments: Annotated[
        dict[str, Any] | None, Field(description="Those that the new attempt has others of.", examples=[{}])
    ] = None
    cleanup: Annotated[bool, Field(strict=True, description="Only have reverts that failed run again.")] = False
    force: Annotated[
        bool, Field(strict=True, description="A new attempt though a revert failed. Wants a reason.")
    ] = False
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum((bool(self.arguments), self.cleanup, self.force)) > 1:
            raise ValueError("wants one of arguments, cleanup and force")
        if self.force and not self.reason:
            raise ValueError("force wants a reason: what became of the effects")
        return self


class Filter(_Body):
    """All jobs that are like this when it is asked for."""

    state: Annotated[
        State | list[State] | None, Field(description="One, or several. Null: all that it may be.")
    ] = None
    flow: Annotated[str | None, Field(min_length=1, max_length=255)] = None

    def states(self, otherwise: tuple[State, ...]) -> tuple[State, ...]:
        """The states; `otherwise` if it names none."""
        if self.state is None:
            return otherwise
        return (self.state,) if isinstance(self.state, State) else tuple(self.state) or otherwise


class Many(_Body):
    """Many jobs: by their ids, or by a filter."""

    ids: Annotated[list[str] | None, Field(min_length=1, max_length=MOST_JOBS)] = None
    filter: Filter | None = None

    @model_validator(mode="after")
    def _ids_or_filter(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("wants either ids or filter")
        return self


class CancelMany(Many):
    """A cancel of many jobs."""

    reason: Reason | None = None


class RetryMany(Many):
    """A retry of many jobs."""
