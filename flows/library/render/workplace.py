"""Where `render` makes its files before the film is published."""

from __future__ import annotations

from pathlib import Path

from flows.library.files.workplace import Workplace


class RenderPlace(Workplace):
    """The files of one job."""

    def scene(self, number: int) -> Path:
        """A scene, once all of it is there."""
        return self.folder / f"scene-{number:04}.y4m"

    def scenes(self, count: int) -> list[Path]:
        """All of them, in order."""
        return [self.scene(number) for number in range(1, count + 1)]

    def part(self, number: int) -> Path:
        """What has come of it so far."""
        return self.folder / f"scene-{number:04}.part"

    @property
    def listing(self) -> Path:
        """Names the scenes for ffmpeg."""
        return self.folder / "scenes.txt"

    @property
    def film(self) -> Path:
        return self.folder / f"film{self.target.suffix}"
