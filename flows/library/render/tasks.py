"""The four tasks of `render`."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Any

from pydantic import HttpUrl, SecretStr

from flows import CancelableTask
from flows.library.files.meter import Meter
from flows.library.files.replacement import Replacement, Stamp, stamp_of, sync_folder
from flows.library.files.workplace import new_file
from flows.library.remote.together import together
from flows.library.render.errors import NotCancelled
from flows.library.render.film import PLAIN, check_film, ffmpeg, in_listing, joined
from flows.library.render.overview import Overview, in_short
from flows.library.render.scene import Scene, Size
from flows.library.render.workplace import RenderPlace


class Prepare(CancelableTask):
    """Check that the film can be made, claim its place, and choose what the order is called on the service.

    The name is stored before anything is submitted under it: who goes on after a crash, or reverts, finds it all.
    Another attempt has another, and is not given what this one had cancelled.
    """

    default_provides = ("order", "replaces")

    async def execute(self, url: HttpUrl, target: Path, token: SecretStr | None) -> tuple[str, Stamp | None]:
        # Who only posts a job loads this module too, and needs no HTTP.
        from flows.library.render.renderer import renderer_at

        check_film(target)
        RenderPlace(target, self.job).claim()
        order = f"{self.job or 'local'}-{secrets.token_hex(4)}"
        async with renderer_at(str(url), token) as renderer:
            await renderer.look(order)  # is it there, does it take the token? As yet there is nothing to revert
        return order, stamp_of(target)

    def revert(self, target: Path, **_: Any) -> None:
        RenderPlace(target, self.job).remove()


class RenderScenes(CancelableTask):
    """Have the scenes rendered, some at once, and fetch them. Its revert cancels what is on the service."""

    default_provides = "scene_bytes"

    async def execute(
        self,
        url: HttpUrl,
        scenes: list[Scene],
        target: Path,
        token: SecretStr | None,
        width: int,
        height: int,
        at_once: int,
        max_bytes: int,
        order: str,
    ) -> int:
        from flows.library.render.renderer import renderer_at
        from flows.library.render.rendering import Rendering

        work = RenderPlace(target, self.job)
        size = Size(width=width, height=height)
        overview = Overview(len(scenes))

        def report(number: int, state: str, share: float) -> None:
            overview.note(number, state, share)
            self.update_progress(
                overview.progress, done=overview.done, total=overview.total, now=overview.now or None
            )

        async with renderer_at(str(url), token) as renderer:
            renderings = [
                Rendering(renderer, work, number, name, scene, size, max_bytes, report)
                for number, (name, scene) in enumerate(zip(_names(order, scenes), scenes, strict=True), 1)
            ]
            await together([rendering.run for rendering in renderings], at_once)
        return sum(file.stat().st_size for file in work.scenes(len(scenes)))

    async def revert(
        self,
        url: HttpUrl,
        scenes: list[Scene],
        token: SecretStr | None,
        cancel_within: float,
        order: str,
        **_: Any,
    ) -> None:
        from flows.library.render.renderer import renderer_at

        # Also those that were never submitted, as far as anyone here knows: the answer may have been lost.
        names = _names(order, scenes)
        async with renderer_at(str(url), token) as renderer:
            cancels = [renderer.cancel(name, cancel_within) for name in names]
            errors = await asyncio.gather(*cancels, return_exceptions=True)
        left = [f"{name} ({error})" for name, error in zip(names, errors, strict=True) if error is not None]
        if left:
            raise NotCancelled(f"may still be under way on the service: {in_short(left)}")


def _names(order: str, scenes: list[Scene]) -> list[str]:
    """What the scenes are called on the service."""
    return [f"{order}-{number}" for number in range(1, len(scenes) + 1)]


class Assemble(CancelableTask):
    """Make one film of the scenes: with ffmpeg, or, of a plain one, just one after the other."""

    default_provides = "made"

    def execute(self, scenes: list[Scene], target: Path, scene_bytes: int) -> Stamp | None:
        work = RenderPlace(target, self.job)
        files = work.scenes(len(scenes))
        if target.suffix == PLAIN:
            with new_file(work.film) as film:
                for chunk in Meter(self, scene_bytes).passing(joined(files)):
                    film.write(chunk)
        else:
            work.listing.write_text(in_listing(files))
            self.run(ffmpeg(work.listing, work.film), cwd=work.folder)
            with work.film.open("rb") as film:
                os.fsync(film.fileno())
        return stamp_of(work.film)

    def revert(self, target: Path, **_: Any) -> None:
        RenderPlace(target, self.job).film.unlink(missing_ok=True)


class Publish(CancelableTask):
    """Give the film its name. Its revert takes that away again, and puts back what it replaced."""

    default_provides = "path"

    def execute(self, target: Path, replaces: Stamp | None, made: Stamp) -> str:
        work = RenderPlace(target, self.job)
        Replacement(work.film, target, made, replaces).do()
        sync_folder(target.parent)
        work.remove()
        return str(target)

    def revert(self, target: Path, replaces: Stamp | None, made: Stamp, **_: Any) -> None:
        Replacement(RenderPlace(target, self.job).film, target, made, replaces).undo()
        sync_folder(target.parent)
