"""The flow `process_files`: pack a folder into a verified archive."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from taskflow.patterns import linear_flow

from flows import flow
from flows.library.files.target import Place
from flows.library.process_files.tasks import Checksum, Pack, Publish, Scan, Verify


@flow("process_files")
def process_files(
    source: Annotated[Place, Field(description="the folder to pack")],
    target: Annotated[Place, Field(description="the archive to make, a .tar.gz outside of the source")],
    pattern: Annotated[
        str,
        Field(description="which entries: a glob for the path below the source, or for the name", min_length=1),
    ] = "*",
    level: Annotated[int, Field(description="how hard to compress: 0 not at all, 9 hardest", ge=0, le=9)] = 6,
) -> linear_flow.Flow:
    """Pack a folder into a tar.gz, with the SHA-256 of each file in a manifest beside it.

    Stored are the files, links and folders whose path below the source, or whose name, fits `pattern`: a
    shell glob, case-sensitive, whose `*` matches `/` too. Links are stored as links, never followed. Sockets,
    pipes and devices are skipped and counted. What is unreadable, or changes while the job runs, fails it.

    The archive is read back and compared before it takes the name `target`; the manifest is
    `target`.manifest.jsonl, one line of JSON for each entry. A file that one of them replaces is kept beside
    it as `….previous`, and has its name back after a cancel or a failure; an older `….previous` goes for good
    when publish ends. Everything else is made in a hidden folder beside the target, which goes when the job
    ends.
    """
    return linear_flow.Flow("process_files").add(Scan(), Checksum(), Pack(), Verify(), Publish())
