"""What the SDK logs comes to `logging.getLogger("amply_sdk")`, without a secret."""

from __future__ import annotations

import logging

import pytest

from amply_sdk import Sandbox


def test_attempts_are_logged_where_that_is_wanted(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with sandbox.client() as client:
        client.status()
        assert caplog.records == []
        with caplog.at_level(logging.DEBUG, logger="amply_sdk"):
            client.route_task("store")
        said = [record.getMessage() for record in caplog.records]
        assert any("attempt 1: POST" in line and "answered 200" in line for line in said), said
        assert {record.name for record in caplog.records} == {"amply_sdk"}
        caplog.clear()
        client.status()
        assert caplog.records == []


def test_what_matters_is_logged_by_itself(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with sandbox.client(api_key=sandbox.server_key) as client:
        client.route_task("store")
        client.route_task("store")
    [record] = caplog.records
    assert record.levelno == logging.WARNING and "bound to no principal" in record.getMessage()


def test_no_secret_is_logged(broke: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with broke.paying_client(per_day="1") as client:
        client.route_task("store")
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "attempt" in said
    for secret in (broke.user_key, broke.topup_token):
        assert secret not in said


def test_a_handler_that_raises_does_not_end_a_call(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError("a broken handler")

    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    logger, handler = logging.getLogger("amply_sdk"), Broken()
    logger.addHandler(handler)
    try:
        with sandbox.client(api_key=sandbox.server_key) as client:
            assert client.route_task("store").recommended == "qdrant"
    finally:
        logger.removeHandler(handler)
