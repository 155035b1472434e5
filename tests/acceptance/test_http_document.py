"""What docs/http.md lists is what there is. Its commands are run by `tests/documents`."""

from __future__ import annotations

import re

from poster.web.live import event
from tests.acceptance.place import ROOT

TEXT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def test_the_table_of_events_is_whole():
    told = set(re.findall(r"^\| `(\w+)` \| [^|]+ \| (?:yes)? *\|$", TEXT, re.MULTILINE))
    assert told == {*event.KINDS, event.BEGIN, event.HEARTBEAT}
