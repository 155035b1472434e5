"""What is written into `docs` from the code, each with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from docs.generate.commands import commands
from docs.generate.documents import json_documents
from docs.generate.events import events
from docs.generate.http_api import http_api
from docs.generate.library import library
from docs.generate.metrics import metrics
from docs.generate.settings import settings
from docs.generate.states import states
from docs.generate.states_picture import picture

FOLDER = Path(__file__).resolve().parents[1]

PAGES: dict[str, Callable[[], str]] = {
    "states.svg": picture,
    "reference/commands.md": commands,
    "reference/settings.md": settings,
    "reference/states.md": states,
    "reference/flows.md": library,
    "reference/http.md": http_api,
    "reference/json.md": json_documents,
    "reference/events.md": events,
    "reference/metrics.md": metrics,
}
