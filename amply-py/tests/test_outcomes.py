"""How a route went: the pair of the documentation, the block that reports by itself, tickets, the outbox."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import (
    AmplyApiError, AsyncClient, Client, ConfigError, InternalServerError, InvalidRequestError, NotFoundError, Sandbox,
)  # fmt: skip

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def reports(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.control("GET", "/outcomes")["outcomes"]
    return found


def aclient(sandbox: Sandbox, **settings: Any) -> AsyncClient:
    return AsyncClient(**{"api_key": sandbox.user_key, "base_url": sandbox.url, **settings})


def test_the_documented_pair(sandbox: Sandbox, client: Client) -> None:
    route, report_outcome = client.route_task_tracked("store 1M vectors")
    assert route["recommended"] == "qdrant" and isinstance(route, dict)
    # A plain callable, for any thread.
    threads = [threading.Thread(target=report_outcome, kwargs={"success": True, "actual_latency_ms": 42})]
    for thread in threads:
        thread.start()
        thread.join()
    [report] = reports(sandbox)
    assert (report["route_id"], report["success"], report["actual_latency_ms"]) == (route.route_id, True, 42)
    again = report_outcome(success=False, error_code="late")
    assert again.is_repeated and again.credits_awarded == 0 and again == {}
    assert len(reports(sandbox)) == 1


def test_the_block_reports_its_success_with_the_time_it_took(sandbox: Sandbox, client: Client) -> None:
    with client.route_task_tracked("store 1M vectors") as tracked:
        assert tracked.recommended == tracked.route.recommended == "qdrant"
    assert client.outbox.flush() == 0
    [report] = reports(sandbox)
    assert report["success"] is True and report["error_code"] is None
    assert 0 <= report["actual_latency_ms"] < 60_000


@pytest.mark.parametrize(
    "error, code",
    [
        (RuntimeError("a secret"), "runtime_error"),
        (TimeoutError(), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection_reset_error"),
        (OSError(), "os_error"),
    ],
)
def test_the_block_reports_a_failure_and_raises_it_again(
    sandbox: Sandbox, client: Client, error: Exception, code: str
) -> None:
    with pytest.raises(type(error)) as caught:
        with client.route_task_tracked("store"):
            raise error
    assert caught.value is error
    client.outbox.flush()
    [report] = reports(sandbox)
    # An OSError's class is all capitals in front.
    assert report["success"] is False and report["error_code"] in (code, code.replace("os_", "os"))
    assert "secret" not in str(report)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_a_block_that_was_broken_off_says_nothing_and_is_counted(
    sandbox: Sandbox, client: Client, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        with client.route_task_tracked("store"):
            raise error
    client.outbox.flush()
    assert reports(sandbox) == []
    assert client.outbox.counters()["unreported"] == 1


def test_a_route_that_is_dropped_is_counted_and_told(sandbox: Sandbox) -> None:
    seen: list[str] = []
    with sandbox.client(on_event=lambda event: seen.append(event.kind)) as client:
        client.route_task_tracked("store")
        assert client.outbox.counters()["unreported"] == 1
    assert seen == ["outcome_unreported"]


def test_asyncio_has_all_three_forms(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        async with aclient(sandbox) as client:
            route, report_outcome = await client.route_task_tracked("first")
            assert (await report_outcome(success=True)).credits_awarded == 1
            async with client.route_task_tracked("second") as tracked:
                await asyncio.sleep(0)
                assert tracked.recommended == "qdrant"
            with pytest.raises(ZeroDivisionError):
                async with client.route_task_tracked("third"):
                    1 / 0
            is_inside = asyncio.Event()
            task = asyncio.create_task(cancelled(client, is_inside))
            await is_inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.outbox.flush() == 0
            assert client.outbox.counters()["unreported"] == 1

    async def cancelled(client: AsyncClient, is_inside: asyncio.Event) -> None:
        async with client.route_task_tracked("fourth"):
            is_inside.set()
            await asyncio.sleep(60)

    run(main())
    assert [(report["success"], report["error_code"]) for report in reports(sandbox)] == [
        (True, None), (True, None), (False, "zero_division_error"),
    ]  # fmt: skip


def test_a_ticket_is_a_str_for_a_worker_elsewhere(sandbox: Sandbox, client: Client) -> None:
    tracked = client.route_task_tracked("store 1M vectors")
    ticket = tracked.ticket
    assert type(ticket) is str and sandbox.user_key not in ticket and " " not in ticket
    program = """
        import sys, amply_sdk
        url, key, ticket = sys.argv[1:]
        with amply_sdk.Client(base_url=url, api_key=key) as client:
            print(client.report(ticket, success=False, actual_latency_ms=7.4, error_code="rate_limited").credits_awarded)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), sandbox.url, sandbox.user_key, ticket],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "1\n", done.stderr
    [report] = reports(sandbox)
    assert (report["success"], report["actual_latency_ms"], report["error_code"]) == (False, 7, "rate_limited")
    del tracked
    assert client.outbox.counters()["unreported"] == 0


def test_a_ticket_of_another_key_or_server_draws_no_report(sandbox: Sandbox, client: Client) -> None:
    ticket = client.route_task_tracked("store").ticket
    with sandbox.client(api_key=sandbox.server_key) as other, Sandbox(seed=1) as elsewhere, elsewhere.client() as third:
        for wrong in (other, third):
            with pytest.raises(InvalidRequestError):
                wrong.report(ticket, success=True)
    for forged in ("", "x", ticket[:-2], "1." + ticket):
        with pytest.raises(AmplyApiError):
            client.report(forged, success=True)
    assert reports(sandbox) == []


@pytest.mark.parametrize(
    "given, error",
    [
        ({"success": 1}, TypeError),
        ({"success": None}, TypeError),
        ({"success": True, "actual_latency_ms": "5"}, TypeError),
        ({"success": True, "actual_latency_ms": float("nan")}, InvalidRequestError),
        ({"success": True, "actual_latency_ms": -1}, InvalidRequestError),
        ({"success": True, "actual_latency_ms": 1e300}, InvalidRequestError),
        ({"success": False, "error_code": "No Spaces!"}, InvalidRequestError),
        ({"success": False, "error_code": "x" * 65}, InvalidRequestError),
        ({"success": False, "error_code": 5}, TypeError),
        ({}, TypeError),
    ],
)
def test_an_outcome_that_cannot_be_right_is_not_sent(
    sandbox: Sandbox, client: Client, given: dict[str, Any], error: type[Exception]
) -> None:
    _, report_outcome = client.route_task_tracked("store")
    with pytest.raises(error):
        report_outcome(**given)
    assert reports(sandbox) == []
    assert report_outcome(success=True).credits_awarded == 1


def test_reports_are_handed_over_and_delivered_in_the_background(sandbox: Sandbox, client: Client) -> None:
    tracked = client.route_task_tracked("store")
    assert tracked.report_in_background(success=True) is True
    assert client.outbox.flush() == 0
    assert client.outbox.counters()["delivered"] == 1 and len(reports(sandbox)) == 1
    assert tracked.report_in_background(success=True) in (True, False)
    client.outbox.flush()
    assert len(reports(sandbox)) == 1


def test_a_durable_report_outlives_the_process(sandbox: Sandbox, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    program = """
        import os, sys, amply_sdk
        url, key, store = sys.argv[1:]
        client = amply_sdk.Client(base_url=url, api_key=key, store=store, deliver_in_background=False)
        assert client.route_task_tracked("store").report_durable(success=True)
        os._exit(0)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), sandbox.url, sandbox.user_key, str(store)], check=True, timeout=30
    )
    assert reports(sandbox) == []
    with sandbox.client(store=store) as client:
        assert client.outbox.flush(timeout=10) == 0
    assert [report["success"] for report in reports(sandbox)] == [True]


def test_a_durable_report_needs_a_file(client: Client) -> None:
    with pytest.raises(ConfigError):
        client.route_task_tracked("store").report_durable(success=True)


def test_the_end_of_the_interpreter_flushes(sandbox: Sandbox) -> None:
    program = """
        import sys, amply_sdk
        url, key = sys.argv[1:]
        client = amply_sdk.Client(base_url=url, api_key=key).with_options(timeout=10)
        for n in range(20):
            client.route_task_tracked(f"store {n}k vectors").report_in_background(success=True)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), sandbox.url, sandbox.user_key], check=True, timeout=30
    )
    assert len(reports(sandbox)) == 20


def test_the_outbox_shows_what_was_given_up(sandbox: Sandbox, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    seen: list[tuple[str, str | None]] = []
    sandbox.fault({"status": {"status": 400}}, path="/outcome")
    with sandbox.client(store=store, on_event=lambda event: seen.append((event.kind, event.route_id))) as client:
        tracked = client.route_task_tracked("store")
        tracked.report_in_background(success=True)
        client.outbox.flush()
        [entry] = client.outbox.list()
        assert entry.is_dead and entry.attempts >= 1 and entry.last_error
        assert entry.route_id == tracked.route.route_id
        assert entry.created_at.tzinfo is not None and entry["outcome"] == {"success": True}
        assert ("outcome_dead", entry.route_id) in seen
        sandbox.control("DELETE", "/faults")
        assert not client.outbox.retry(entry.id).is_dead
        assert client.outbox.flush() == 0 and client.outbox.list() == [] and client.outbox.waiting() == 0
        with pytest.raises(InvalidRequestError):
            client.outbox.discard("no-such-report")
    assert len(reports(sandbox)) == 1


def test_a_report_that_fails_may_be_made_again(sandbox: Sandbox) -> None:
    sandbox.fault({"status": {"status": 503}}, path="/outcome", calls={"first": 1})
    with sandbox.client(max_attempts=1) as client:
        _, report_outcome = client.route_task_tracked("store")
        with pytest.raises(InternalServerError):
            report_outcome(success=True)
        assert report_outcome(success=True).credits_awarded == 1


def test_an_audit_proves_a_route(client: Client) -> None:
    route, report_outcome = client.route_task_tracked("store")
    before = client.audit(route.route_id)
    assert before.route_id == route.route_id and before.outcome is None and before.proof_hash
    report_outcome(success=True)
    after = client.audit(route.route_id)
    assert after.outcome is not None and after.outcome["success"] is True
    assert after.proof_hash != before.proof_hash
    with pytest.raises(NotFoundError):
        client.audit("no-such-route")


def test_a_ticket_for_an_id_alone(sandbox: Sandbox, client: Client) -> None:
    route = client.route_task("store")
    assert client.report(client.ticket(str(route.route_id), provider_id="qdrant"), success=True).credits_awarded == 1


def test_a_tracked_route_reports_on_the_other_side_of_a_fork(sandbox: Sandbox) -> None:
    program = """
        import os, sys, amply_sdk
        url, key = sys.argv[1:]
        client = amply_sdk.Client(base_url=url, api_key=key)
        route, report_outcome = client.route_task_tracked("store")
        child = os.fork()
        if child == 0:
            os._exit(0 if report_outcome(success=True).credits_awarded == 1 else 1)
        print(os.waitpid(child, 0)[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), sandbox.url, sandbox.user_key],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == "0\n", done.stderr
    assert len(reports(sandbox)) == 1
