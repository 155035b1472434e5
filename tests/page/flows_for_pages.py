"""Flows for tests of the page. They wait for files, so that a test sees each step and never a guessed moment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, HttpUrl, SecretStr
from taskflow.patterns import linear_flow

from flows import CancelableTask, flow


class Gated(CancelableTask):
    """Waits for `<folder>/<name>`, and reverts when `<folder>/undo` is there."""

    def execute(self, folder: Path) -> str:
        """Go on at each look whether one may."""
        print(f"{self.name} waits for <b>its gate</b>")
        while not (folder / self.name).exists():
            self.sleep(0.01)
        return f"{self.name} done"

    def revert(self, folder: Path, **_: object) -> None:
        """Undo nothing, as slowly as the test wants it."""
        while not (folder / "undo").exists():
            time.sleep(0.01)


class Charge(Gated):
    """What cannot be undone."""

    irreversible = True


class Deaf(CancelableTask):
    """Never looks whether it shall stop."""

    def execute(self, folder: Path) -> None:
        """Wait for its gate."""
        while not (folder / "gate").exists():
            time.sleep(0.01)


class Fails(CancelableTask):
    """Fails, and is reverted or not."""

    def execute(self, why: str) -> None:
        """Fail."""
        raise OSError(why)


class Dirty(CancelableTask):
    """Leaves something behind."""

    def execute(self) -> None:
        """Do nothing."""

    def revert(self, **_: object) -> None:
        """Fail to undo it."""
        raise RuntimeError("the network is still in use")


class Keep(CancelableTask):
    """Provides what it was given."""

    default_provides = "kept"

    def execute(self, text: str) -> str:
        """Keep it."""
        return text


@flow("gated", max_retries=0)
def gated(folder: Path):
    """Reserve, charge, ship; each when its file is there."""
    return linear_flow.Flow("gated").add(Gated("reserve", provides="reserved"), Charge("charge"), Gated("ship"))


@flow("wait", max_retries=0)
def wait(folder: Path):
    """Wait for one file."""
    return linear_flow.Flow("wait").add(Gated("gate"))


@flow("deaf", max_retries=0)
def deaf(folder: Path):
    """Wait for one file, whatever one is asked."""
    return linear_flow.Flow("deaf").add(Deaf("grind"))


@flow("failing", max_retries=0)
def failing(why: str = "no space left"):
    """Fail."""
    return linear_flow.Flow("failing").add(Fails("pack"))


@flow("dirty", max_retries=0)
def dirty(why: str = "no host has room"):
    """Fail, and fail to undo it."""
    return linear_flow.Flow("dirty").add(Dirty("network"), Fails("boot"))


@flow("notes", max_retries=0)
def notes(text: str = "", label: str = "new", hint: str | None = None, size: int = 1, timeout: str = ""):
    """Take notes, and fail."""
    return linear_flow.Flow("notes").add(Fails("pack", inject={"why": "no paper"}))


@flow("kinds", max_retries=0)
def kinds(
    text: Annotated[str, Field(description="what is kept")],
    token: SecretStr,
    size: Annotated[int, Field(ge=1, le=9)] = 3,
    ratio: float = 0.5,
    loud: bool = False,
    colour: Literal["red", "green"] = "green",
    tags: list[str] | None = None,
    limits: dict[str, int] = {},  # noqa: B006 - pydantic copies it
    site: Annotated[HttpUrl | None, Field(description="where it is.")] = None,
):
    """Take an argument of each kind."""
    return linear_flow.Flow("kinds").add(Keep("keep"))


@flow("keeping", max_retries=0, on_failure="keep")
def keeping(text: str = "a draft", why: str = "no space left"):
    """Keep what the first task did, and fail."""
    return linear_flow.Flow("keeping").add(Keep("keep"), Fails("pack"))
