"""The tests can fail: with what they prove taken out of a copy of the code, they do."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.proofs.mutations import HISTORIES, MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
FOLDERS = ("jobboard", "flows", "conductor", "poster", "tests")
TESTS_FAILED = 1  # pytest's exit code; 2 and more: it could not run them
LONGEST_S = 270  # a storm that does not calm down waits long for it
PATIENCE = "0.33"  # of that of other runs: most tests fail by a deadline


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and its tests, to be spoiled."""
    folder = tmp_path_factory.mktemp("copy")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    # By its time, a file that is changed twice within a second may look unchanged.
    compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
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
    """What fails with a mutation passes without, with as little patience; random histories wait for nothing."""
    tests = {test for mutation in MUTATIONS for test in mutation.tests} - {HISTORIES}
    ran = run(copy, *sorted(tests))
    assert ran.returncode == 0, ran.stdout[-3000:]


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-x", "-n", "0", "--timeout", "60", "-W", "ignore"]
    # Schemathesis takes a second to be loaded.
    options += ["-p", "no:cacheprovider", "-p", "no:schemathesis"]
    # The shortest random history that fails is not of interest here, and takes long to be found.
    options += ["--hypothesis-profile", "unshrunk"]
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *options, *tests],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TESTS_PATIENCE": PATIENCE,
        },
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
    )
