"""The flow `download`: fetch a file, check it, and unpack it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, HttpUrl
from taskflow.patterns import linear_flow

from flows import flow
from flows.library.download.tasks import Fetch, Publish, Unpack, Verify
from flows.library.files.target import Place


@flow("download")
def download(
    url: Annotated[HttpUrl, Field(description="what to fetch, by http or https")],
    target: Annotated[
        Place, Field(description="the file to make; with unpack the folder, which must not be there")
    ],
    sha256: Annotated[
        str | None,
        Field(description="the checksum it must have, in hexadecimal digits", pattern=r"^[0-9a-fA-F]{64}$"),
    ] = None,
    unpack: Annotated[bool, Field(description="it is a tar or zip archive: make a folder of it")] = False,
    max_bytes: Annotated[int, Field(description="the most bytes to fetch", gt=0)] = 10_000_000_000,
    max_unpacked_bytes: Annotated[int, Field(description="the most bytes in the folder", gt=0)] = 50_000_000_000,
    max_files: Annotated[int, Field(description="the most entries in the folder", gt=0)] = 100_000,
) -> linear_flow.Flow:
    """Fetch a file by HTTP, check it, and unpack it.

    A transfer that breaks off goes on where it was, if the server can tell that the file is still the same; also
    on another conductor. A file that stands at `target` is kept beside it as `….previous`, and has its name back
    after a cancel or a failure. An archive is unpacked into a hidden folder, which takes its name at the end:
    nothing in it leads out of it, and devices are refused. After a cancel or a failure nothing of it is left.
    """
    return linear_flow.Flow("download").add(Fetch(), Verify(), Unpack(), Publish())
