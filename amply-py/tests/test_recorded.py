"""The exchanges that were recorded from a server 3.1.12, served again: an answer keeps every field that came."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import AmplyApiError, Client, Route

FOLDER = Path(__file__).parents[2] / "tests/fixtures/server-3.1.12"
RECORDINGS = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
NOT_SERVED = {"content-length", "transfer-encoding", "connection", "keep-alive", "date"}


@pytest.fixture(scope="module")
def replay() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that gives whatever recorded answer is put there."""
    served: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            response = served["response"]
            body = response["body"] if isinstance(response["body"], str) else json.dumps(response["body"])
            self.send_response(response["status"])
            for name, value in response["headers"].items():
                if name.lower() not in NOT_SERVED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_POST = do_OPTIONS = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", served
        server.shutdown()


@pytest.mark.parametrize("name", RECORDINGS)
def test_what_was_recorded_arrives_as_it_was(name: str, replay: tuple[str, dict[str, Any]]) -> None:
    url, served = replay
    recording = RECORDINGS[name]
    served["response"] = recording["response"]
    status, body = recording["response"]["status"], recording["response"]["body"]
    method = recording["request"]["method"]
    with Client(base_url=url, max_attempts=1, principal="ignore") as client:
        if 200 <= status < 300 and isinstance(body, dict) and method != "HEAD":
            answer = client.request(method, "/x")
            assert answer == body and list(answer) == list(body)
            assert answer.meta.status == status
            if "recommended" in body:
                route = client.route_task("store")
                assert type(route) is Route and route == body
                assert route.rankings and route.rankings[0].provider_id == route.recommended
        elif 400 <= status:
            with pytest.raises(AmplyApiError) as caught:
                client.request(method, "/x")
            assert caught.value.status == status
            if isinstance(body, dict) and method != "HEAD":
                assert caught.value.body == body
