"""Whether a job's flow still is what it was when the job's attempt began: only then the attempt can go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from taskflow import task
from taskflow.patterns import linear_flow

from flows.registry import FlowSpec
from flows.structure import structure_of
from jobboard.task_view import SEAL

LOG = logging.getLogger(__name__)


def fingerprint_of(spec: FlowSpec, arguments: Mapping[str, Any]) -> str | None:
    """The fingerprint that a conductor would find now; None if the flow cannot be made here."""
    try:
        made = spec.build(arguments).flow
        seal = task.FunctorTask(_never_run, name=SEAL)  # where a conductor puts the task that completes the job
        return structure_of(linear_flow.Flow(spec.name).add(made, seal)).fingerprint
    except Exception as error:  # noqa: BLE001 - a flow's own code runs here, and a conductor will tell of it
        LOG.info("flow %s: its structure is not known here: %s", spec.name, error)
        return None


def _never_run() -> None:
    """Nothing."""
