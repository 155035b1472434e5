"""The OpenAPI document says what the API does: requests made from it find no answer that it does not declare."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jobboard.tokens import Role

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 25
NEVER_END = "(events|metrics)$"  # streams, which tests of their own read; and what is no JSON


def test_the_whole_api_answers_as_it_declares(serve, house):
    """All checks, on all phases: examples, coverage, fuzzing, and sequences along the links."""
    house.flow(lambda: [house.step("a"), house.step("b")])
    served = serve(token_needed=True)
    with house.running():
        words = [
            *("--config-file", str(CONFIG), "run", f"{served.url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {served.token(Role.ADMIN)}"),
            *("--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "20250131"),
            *("--exclude-path-regex", NEVER_END, "--request-timeout", "30", "--no-color"),
        ]
        ran = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *words], capture_output=True, text=True, timeout=300
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_operation_declares_its_errors_with_an_example(served):
    document = served.http.get("/api/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            errors = {status: told for status, told in operation["responses"].items() if int(status) >= 400}
            if path not in ("/healthz", "/readyz"):
                assert {"401", "403", "503"} <= set(errors), (method, path)
                assert operation["security"], (method, path)
            for status, told in errors.items():
                [(media, content)] = told["content"].items()
                assert media == "application/problem+json"
                assert content["example"]["status"] == int(status)
            assert operation["description"], (method, path)
