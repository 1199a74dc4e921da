"""Answers that no server should give: what was paid for arrives, and what cannot be read is an error of this package."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import amply_sdk
from amply_sdk import Client, ProtocolError


class Server:
    """Answers everything with the same body."""

    def __init__(self) -> None:
        server, self.body = self, b"{}"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            do_GET = do_POST = answer

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def odd(server: Server) -> Iterator[Client]:
    with Client(base_url=server.url, principal="ignore") as client:
        yield client


def route(more: str) -> bytes:
    place = '{"provider_id": "qdrant", "rank": 1}'
    return f'{{"recommended": "qdrant", "request_id": "r1", "rankings": [{place}], {more}}}'.encode()


@pytest.mark.parametrize("digits", [640, 641, 4300, 4301, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_of_any_length_costs_no_answer(server: Server, odd: Client, digits: int, sign: str) -> None:
    server.body = route(f'"odd": {sign}{"9" * digits}')
    answer = odd.route_task("store")
    if digits <= 4300:
        assert answer["odd"] == int(sign + "9" * digits)
    else:
        assert answer["odd"] == float(f"{sign}inf")
    assert [place.provider_id for place in answer.rankings] == ["qdrant"]


@pytest.mark.parametrize("odd_value", ["1e400", "-1e400", '"\\ud800"', '{"\\ud800": [1e400, "\\udfff"]}'])
def test_what_json_cannot_say_does_not_hide_the_ranking(server: Server, odd: Client, odd_value: str) -> None:
    server.body = route(f'"odd": {odd_value}')
    answer = odd.route_task("store")
    assert [place.provider_id for place in answer.rankings] == ["qdrant"]
    assert answer["odd"] == json.loads(odd_value)
    answer["mine"] = object()
    assert [place.rank for place in answer.rankings] == [1]


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-13-01T00:00:00Z"])
def test_a_time_that_there_is_not_is_none(server: Server, odd: Client, stamp: str) -> None:
    server.body = json.dumps({"ok": True, "last_benchmark_at": stamp}).encode()
    assert odd.status().last_benchmark_at is None


@pytest.mark.parametrize("body", ["[1]", "null", '"x"', "3", "{}", '{"recommended": null}', '{"recommended": 3}'])
def test_the_function_of_0_1_0_takes_nothing_else_for_a_route(server: Server, body: str) -> None:
    server.body = body.encode()
    with pytest.raises(ProtocolError) as caught:
        amply_sdk.route_task(api_key="k", task="store", base_url=server.url)
    assert (caught.value.status, caught.value.body) == (200, json.loads(body))
    assert caught.value.may_have_been_charged


def test_names_of_answers_are_not_kept_for_ever(server: Server, odd: Client) -> None:
    import sys

    server.body = json.dumps({"a_name_that_no_program_has": 1}).encode()
    [name] = odd.request("GET", "/status")
    # Python counts the references to a text that it keeps for ever as countless.
    assert sys.getrefcount(name) < 100
