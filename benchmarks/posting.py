"""How many jobs a second `poster post --from` posts: the whole command, from its start to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from benchmarks.command import poster
from benchmarks.figure import Reading
from benchmarks.lab import Lab
from benchmarks.sizes import Sizes
from benchmarks.systems import System
from benchmarks.three_steps import NAME


def measure(lab: Lab, sizes: Sizes, systems: Sequence[System]) -> Iterator[Reading]:
    """All jobs of a file in one command, on a database that is made already."""
    lines = (json.dumps({"flow": NAME, "arguments": {}}) + "\n") * sizes.posted
    for _ in range(sizes.rounds):
        for system in systems:
            with lab.place(system) as place, lab.folder() as folder:
                file = folder / "jobs.jsonl"
                file.write_text(lines)
                poster(place, "list")
                ran = poster(place, "post", "--from", str(file))
            if len(ran.out.splitlines()) != sizes.posted:
                raise RuntimeError(f"not all of {sizes.posted} jobs were posted")
            what = f"posted with --from: {system.name}"
            yield Reading(f"posted:{system.key}", what, "jobs/s", sizes.posted / ran.took_s)
