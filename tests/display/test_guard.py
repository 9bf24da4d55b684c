"""Requests that mean the page ill: other hosts' names, scripts from elsewhere, too many at once."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from lib.display import guard
from lib.display.app import PAGE, build_app

HOSTS = ("testserver", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def client(galleries, pictures):
    return TestClient(build_app(galleries, pictures, HOSTS))


def test_another_host_s_name_is_refused(client):
    assert client.get("/runs", headers={"host": "evil.example"}).status_code == 400
    for name in ("", "127.0.0.1.evil.example", "[::1", "testserver:80:80@evil.example"):
        assert client.get("/runs", headers={"host": name}).status_code == 400
    assert client.get("/runs", headers={"host": "127.0.0.1:8000"}).status_code == 200
    assert client.get("/runs", headers={"host": "[::1]:8000"}).status_code == 200


def test_the_page_runs_its_own_script_alone(client):
    answer = client.get("/")
    assert answer.text == PAGE.read_text()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert answer.headers["x-content-type-options"] == "nosniff"
    for text in (answer.text, client.get("/docs").text):
        assert "http" not in text.replace(
            "http://www.w3.org/2000/svg", ""
        )  # nothing from elsewhere
    assert "innerHTML" not in answer.text  # captions are text


def test_too_many_at_once_are_told_to_come_again(monkeypatch):
    app = FastAPI()
    guard.guard(app, ["*"], "<script>1</script><style></style>")
    app.get("/")(lambda: "here")
    client = TestClient(app)
    assert client.get("/", headers={"host": "any.example"}).json() == "here"
    monkeypatch.setattr(guard, "MOST_AT_ONCE", 0)
    answer = client.get("/")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
