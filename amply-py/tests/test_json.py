"""An answer reads as `json.loads` would read it, whatever a server writes."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from amply_sdk import Client, ProtocolError


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


TEXTS = [
    '{"a": 1, "b": -1, "c": 0.1, "d": 1e3, "e": 1E-7, "f": -0.0}',
    '{"large": 123456789012345678901234567890, "edge": 9223372036854775807, "over": 9223372036854775808}',
    '{"deep": [[[[{"a": []}]]]], "empty": {}, "list": []}',
    r'{"escapes": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude80", "plain": "é🚀"}',
    r'{"half": "\ud83d", "\ud83d": "half a name"}',
    '{"twice": 1, "twice": 2}',
    ' \n\t{ "blank" : [ 1 , 2 , true , false , null ] } \r\n',
    '{"' + "n" * 100 + '": "a long name"}',
    "[1, 2]",
    '"text"',
    "1.5",
    "null",
    "true",
]


@pytest.mark.parametrize("text", TEXTS)
def test_it_reads_as_json_loads_does(text: str) -> None:
    with answering(text.encode()) as url, Client(base_url=url) as client:
        found = client.request("GET", "/x")
        assert found == json.loads(text)
        if isinstance(found, dict):
            assert list(found) == list(json.loads(text))
            for name, value in json.loads(text).items():
                assert type(found[name]) is type(value)


def test_numbers_read_to_the_last_bit() -> None:
    chance = random.Random(7)
    numbers = ["0.0", "-0.0", "0.1", "0.30000000000000004", "5e-324", "9007199254740993.0", "1.7976931348623157e308"]
    for digits in range(1, 20):
        for after in range(1, digits + 18):
            number = str(chance.randrange(10 ** (digits - 1), 10**digits)).zfill(after + 1)
            numbers += [f"{number[:-after].lstrip('0') or '0'}.{number[-after:]}", repr(chance.uniform(-1, 1))]
    text = f"[{', '.join(numbers)}]"
    with answering(text.encode()) as url, Client(base_url=url) as client:
        found = client.request("GET", "/x")
        assert [repr(number) for number in found] == [repr(number) for number in json.loads(text)]


def test_a_text_ends_at_its_quote_wherever_that_is() -> None:
    ends = ["", '"', "\\", "\x7f", "é", "\u0080!", "#]"]
    texts = [f"{'.' * length}{end}{'-' * rest}" for length in range(70) for end in ends for rest in (0, 1, 9)]
    with answering(json.dumps(texts, ensure_ascii=False).encode()) as url, Client(base_url=url) as client:
        assert client.request("GET", "/x") == texts


def test_a_number_beyond_a_double_is_infinite_as_in_json() -> None:
    with answering(b'{"a": 1e400, "b": -1e400}') as url, Client(base_url=url) as client:
        assert client.request("GET", "/x") == {"a": math.inf, "b": -math.inf}


def test_an_empty_answer_is_none() -> None:
    with answering(b"") as url, Client(base_url=url) as client:
        assert client.request("GET", "/x") is None


@pytest.mark.parametrize("body", [b"{", b'{"a":}', b"<html>", b"\xff", b"[" * 1000 + b"]" * 1000, b"{} x", b"NaN"])
def test_what_is_no_json_is_a_protocol_error_with_what_came(body: bytes) -> None:
    with answering(body) as url, Client(base_url=url) as client:
        with pytest.raises(ProtocolError) as caught:
            client.request("GET", "/x")
        assert caught.value.status == 200
        assert isinstance(caught.value.body, str)


def test_a_call_after_a_pause_meets_no_connection_that_the_server_has_closed() -> None:
    closed = threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 0.05

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def finish(self) -> None:
            super().finish()
            self.connection.close()
            closed.release()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", max_attempts=1) as client:
            for _ in range(20):
                assert client.request("POST", "/x", {}) == {}
                assert closed.acquire(timeout=20)
        server.shutdown()
