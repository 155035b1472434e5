"""Who may do what: every route with no token, a wrong one, and each role; made from the list of routes."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest
from fastapi.routing import iter_route_contexts

from jobboard.ids import new_id
from jobboard.tokens import Role
from poster.web.gate.permissions import PERMISSIONS
from tests.waiting import until

pytestmark = pytest.mark.only_on("sqlite")  # tokens in each database: tests/integration/test_tokens.py

REQUESTS = [(method, path) for path, methods in PERMISSIONS.items() for method in methods if method != "WEBSOCKET"]
NEEDED = {(method, path): role for path, methods in PERMISSIONS.items() for method, role in methods.items()}


@pytest.fixture
def guarded(serve):
    """A server that asks who it is."""
    return serve(token_needed=True)


def status_of(served, method: str, path: str, headers: dict[str, str]) -> int:
    """What a request is answered with; a stream is not read."""
    filled = re.sub(r"{job}", new_id(), re.sub(r"{name}", "f", re.sub(r"{file}", "none.js", path)))
    # Not a body: that it lacks is said after who may has been decided.
    with served.http.stream(method, filled, headers=headers) as answered:
        return answered.status_code


def test_the_table_names_every_route_and_no_other(served):
    routes = [route for route in iter_route_contexts(served.app.routes) if route.path]
    there = {(method, route.path) for route in routes for method in (route.methods or {"WEBSOCKET"}) - {"HEAD"}}
    assert there == set(NEEDED)


def test_without_a_token(guarded):
    for method, path in REQUESTS:
        needed = NEEDED[method, path]
        status = status_of(guarded, method, path, {})
        assert (status == 401) is (needed is not None), (method, path, status)


@pytest.mark.parametrize("text", ["x", "cmd_0000000000_x", "cmd__", "\x7f", "cmd_" + "a" * 5000])
def test_with_a_wrong_token(guarded, text):
    for method, path in [("GET", "/api/jobs"), ("POST", "/api/jobs"), ("GET", "/api/events"), ("GET", "/metrics")]:
        assert status_of(guarded, method, path, {"authorization": f"Bearer {text}"}) == 401


@pytest.mark.parametrize("role", Role)
def test_each_role_may_what_it_needs_and_no_more(guarded, role):
    headers = guarded.bearer(role)
    for method, path in REQUESTS:
        needed = NEEDED[method, path]
        status = status_of(guarded, method, path, headers)
        assert (status == 403) is (needed is not None and role < needed), (method, path, status)
        assert status != 401
        assert status < 500


def test_a_wrong_token_counts_for_nothing_also_where_none_is_needed(served):
    assert served.http.get("/api/jobs", headers={"authorization": "Bearer x"}).status_code == 401


def test_a_token_that_was_revoked_or_has_expired_opens_nothing(guarded):
    token, text = guarded.client.create_token("t", Role.ADMIN)
    _, short = guarded.client.create_token("t", Role.ADMIN, 0.001)
    headers = {"authorization": f"Bearer {text}"}
    assert guarded.http.get("/api/jobs", headers=headers).status_code == 200
    guarded.client.revoke_token(token.id)
    assert guarded.http.get("/api/jobs", headers=headers).status_code == 401
    expired = {"authorization": f"Bearer {short}"}
    until(lambda: guarded.http.get("/api/jobs", headers=expired).status_code == 401, what="its end")


def test_the_history_tells_who_did_it(guarded, house):
    house.flow(lambda: [house.step("a")])
    nightly, operations = guarded.bearer(Role.POST, name="nightly"), guarded.bearer(Role.ADMIN, name="operations")
    job = guarded.http.post("/api/jobs", json={"flow": "f"}, headers=nightly).json()["id"]
    guarded.http.post(f"/api/jobs/{job}/cancel", json={"reason": "r"}, headers=operations)
    guarded.http.post(f"/api/jobs/{job}/retry", headers=nightly)
    guarded.http.post("/api/jobs/cancel", json={"ids": [job]}, headers=operations)
    assert [line.by for line in house.lines(job)] == ["nightly", "operations", "nightly", "operations"]
    assert guarded.http.get("/api/me", headers=nightly).json()["name"] == "nightly"
    assert guarded.http.get("/api/me", headers=nightly).json()["role"] == "post"


def test_log_in_by_a_cookie_that_no_script_reads(guarded):
    text = guarded.token(Role.POST, "ben")
    login = guarded.http.post("/login", json={"token": text}, headers={"origin": guarded.url})
    assert login.json() == {"name": "ben", "role": "post"}
    cookie = SimpleCookie(login.headers["set-cookie"])["countermand_token"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert guarded.http.get("/api/me").json()["name"] == "ben"
    # What changes anything must come from our page: a browser sends the cookie whoever asks it to.
    cancel = f"/api/jobs/{new_id()}/cancel"
    assert guarded.http.post(cancel, json={}).status_code == 403
    assert guarded.http.post(cancel, json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert guarded.http.post(cancel, json={}, headers={"origin": guarded.url}).status_code == 404
    guarded.http.post("/logout", headers={"origin": guarded.url})
    assert guarded.http.get("/api/me").status_code == 401


def test_a_wrong_log_in_sets_no_cookie(guarded):
    login = guarded.http.post("/login", json={"token": "cmd_x_y"}, headers={"origin": guarded.url})
    assert login.status_code == 401
    assert "set-cookie" not in login.headers


def test_over_https_the_cookie_goes_nowhere_else(guarded):
    origin = guarded.url.replace("http:", "https:")  # a proxy before us does the encryption
    login = guarded.http.post("/login", json={"token": guarded.token(Role.READ)}, headers={"origin": origin})
    assert "secure" in login.headers["set-cookie"].lower()


def test_who_looks_with_a_browser_is_led_to_the_log_in(guarded):
    answered = guarded.http.get("/?state=running", headers={"accept": "text/html,*/*"})
    assert answered.status_code == 303
    assert answered.headers["location"] == "/login?next=%2F%3Fstate%3Drunning"


def test_pages_of_others_can_do_nothing_on_this_machine(served):
    others = [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}]
    for headers in others:
        answered = served.http.post("/api/jobs/cancel", json={"filter": {}}, headers=headers)
        assert answered.status_code == 403, headers
        assert "access-control-allow-origin" not in answered.headers
    assert served.http.get("/api/jobs", headers={"host": "evil.example"}).status_code == 403
    preflight = served.http.options("/api/jobs/cancel", headers={"origin": "http://evil.example"})
    assert preflight.status_code == 405


def test_a_name_that_was_given_to_it(serve):
    served = serve(hosts=("jobs.example.org",))
    assert served.http.get("/api/jobs", headers={"host": "jobs.example.org"}).status_code == 200
    refused = served.http.get("/api/jobs", headers={"host": "other.example.org"})
    assert "--allowed-host" in refused.json()["detail"]


def test_with_the_database_away_nobody_is_let_in(guarded, house, monkeypatch):
    from jobboard.errors import Unreachable

    def away(_text):
        raise Unreachable("database localhost: does not answer")

    monkeypatch.setattr(guarded.client, "find_token", away)
    answered = guarded.http.get("/api/jobs", headers={"authorization": "Bearer x"})
    assert (answered.status_code, answered.headers["retry-after"]) == (503, "2")
    assert guarded.http.get("/healthz").status_code == 200
    page = guarded.http.get("/", headers={"authorization": "Bearer x", "accept": "text/html"})
    assert (page.status_code, page.headers["refresh"]) == (503, "2")
    assert page.headers["content-type"].startswith("text/html")
    assert "database localhost: does not answer. This page tries again by itself." in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]


def test_what_there_is_not_is_told_to_a_person_by_a_page(served):
    asked = {"accept": "text/html"}
    for path in ("/nothing", "/jobs/nothing", "/post/nothing"):
        answered = served.http.get(path, headers=asked)
        assert (answered.status_code, answered.headers["content-type"].partition(";")[0]) == (404, "text/html")
    of_api = served.http.get("/api/nothing", headers=asked)
    assert (of_api.status_code, of_api.headers["content-type"]) == (404, "application/problem+json")


def test_every_answer_has_the_headers_that_protect_it(served):
    for path in ("/api/jobs", "/nothing", "/docs", "/docs/start.js", "/api/jobs/x", "/healthz"):
        headers = served.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
        assert "unsafe-eval" not in policy
        assert "server" not in headers


def test_the_documentation_loads_nothing_from_elsewhere(served):
    page = served.http.get("/docs").text
    assert not re.search(r"(src|href)=[\"'](https?:)?//", page)
    for file in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
        assert served.http.get(file).status_code == 200, file
    assert served.http.get("/api/openapi.json").json()["openapi"].startswith("3.1")
