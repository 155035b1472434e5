"""The flow `render`: have the scenes of a film rendered by a remote service, and make one file of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, HttpUrl, SecretStr
from taskflow.patterns import linear_flow

from flows import flow
from flows.library.files.target import Place
from flows.library.render.film import as_film
from flows.library.render.scene import Scene
from flows.library.render.tasks import Assemble, Prepare, Publish, RenderScenes

Film = Annotated[Place, AfterValidator(as_film)]


@flow("render")
def render(
    url: Annotated[HttpUrl, Field(description="where the rendering service is")],
    scenes: Annotated[
        list[Scene],
        Field(
            description='one after the other: [{"text": "a harbour", "seconds": 2}]', min_length=1, max_length=500
        ),
    ],
    target: Annotated[Film, Field(description="the film: a .y4m, or with ffmpeg .mp4 .mkv .mov .webm")],
    token: Annotated[SecretStr | None, Field(description="what the service knows its customer by")] = None,
    width: Annotated[int, Field(description="of the picture, in points", ge=16, le=1920, multiple_of=2)] = 160,
    height: Annotated[int, Field(description="of the picture, in points", ge=16, le=1080, multiple_of=2)] = 90,
    at_once: Annotated[int, Field(description="how many scenes may be under way at once", ge=1, le=100)] = 3,
    cancel_within: Annotated[
        float, Field(description="seconds that a revert gives the service to cancel a scene", gt=0, le=86_400)
    ] = 300,
    max_bytes: Annotated[int, Field(description="the most bytes of one scene", gt=0)] = 10_000_000_000,
) -> linear_flow.Flow:
    """Have scenes rendered by a remote service, several at once, and make one film of them.

    Each scene is submitted, polled and fetched; what was submitted or fetched before a conductor died is not
    rendered again. After a cancel or a failure all that is under way on the service is cancelled there, and
    nothing is left here. A film that stands at `target` is kept beside it as `….previous`, and then has its name
    back.

    To try it: `python -m flows.library.render.service` is such a service, small, on this machine.
    """
    return linear_flow.Flow("render").add(Prepare(), RenderScenes(), Assemble(), Publish())
