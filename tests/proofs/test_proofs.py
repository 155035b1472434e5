"""The tests can fail: with what they prove taken out of a copy of the code, they do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proofs.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
FOLDERS = ("jobboard", "flows", "conductor", "poster", "tests")
TESTS_FAILED = 1  # pytest's exit code; 2 and more: it could not run them
LONGEST_S = 270  # a storm that does not calm down waits long for it


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and its tests, to be spoiled."""
    folder = tmp_path_factory.mktemp("copy")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    return folder


@pytest.mark.timeout(LONGEST_S + 30)
@pytest.mark.parametrize(
    ("mutation", "test"),
    [(mutation, test) for mutation in MUTATIONS for test in mutation.tests],
    ids=lambda value: value.name if isinstance(value, Mutation) else Path(value.partition("::")[0]).stem,
)
def test_without(copy: Path, mutation: Mutation, test: str):
    file = copy / mutation.file
    sound = file.read_text()
    assert sound.count(mutation.old) == 1, f"{mutation.file} has changed: write the mutation anew"
    file.write_text(sound.replace(mutation.old, mutation.new))
    try:
        ran = run(copy, test)
    finally:
        file.write_text(sound)
    assert ran.returncode == TESTS_FAILED, f"nothing fails without {mutation.name}:\n{ran.stdout[-3000:]}"


def test_the_copy_is_sound(copy: Path):
    """What fails with a mutation passes without one: the first test of each, at once."""
    tests = {mutation.tests[0] for mutation in MUTATIONS}
    ran = run(copy, *sorted(tests))
    assert ran.returncode == 0, ran.stdout[-3000:]


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    # Without compiled files: a file that is changed twice within a second may look unchanged. The shortest random
    # history that fails is not of interest here, and takes long to be found.
    options = ["-q", "-x", "-p", "no:cacheprovider", "-n", "0", "--timeout", "60", "-W", "ignore"]
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *options, "--hypothesis-profile", "unshrunk", *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
