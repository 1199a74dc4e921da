"""Ends: of routes that nobody reports, of clients, of event loops, of payers, of processes. Nothing crashes, hangs or is lost."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import AsyncClient, Client, ConfigError, Event, Receipt, Sandbox, SpendPolicy, TopUpRequest
from amply_sdk._payment import _ask_payer

Run = Callable[[Coroutine[Any, Any, Any]], Any]

unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def python(program: str, *arguments: str, limit: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, with a limit that a hang would meet."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, timeout=limit
    )


def aclient(sandbox: Sandbox, **settings: Any) -> AsyncClient:
    return AsyncClient(**{"api_key": sandbox.user_key, "base_url": sandbox.url, **settings})


def outcomes(sandbox: Sandbox) -> int:
    return len(sandbox.control("GET", "/outcomes")["outcomes"])


def policy() -> SpendPolicy:
    return SpendPolicy(per_day="1", per_process_only=True)


# Routes that are dropped


@pytest.mark.parametrize("level", ["DEBUG", "WARNING"])
def test_a_route_may_go_while_an_exception_is_on_its_way(sandbox: Sandbox, level: str) -> None:
    program = """
        import logging, sys
        import amply_sdk
        url, level = sys.argv[1:]
        logging.basicConfig(level=level, handlers=[logging.NullHandler()])
        seen = []
        client = amply_sdk.Client(base_url=url, on_event=lambda event: seen.append(event.kind))
        def boom():
            raise KeyError("mine")
        for _ in range(10):
            try:
                [client.route_task_tracked("store"), boom()]
            except KeyError:
                pass
            try:
                route, report, more = client.route_task_tracked("store")
            except ValueError:
                pass
            try:
                client.route_task_tracked("store").nothing
            except AttributeError:
                pass
        client.close()
        print(seen.count("outcome_unreported"), client.outbox.counters()["unreported"])
    """
    done = python(program, sandbox.url, level)
    assert (done.returncode, done.stdout) == (0, "30 30\n"), done.stderr


def test_an_observer_with_a_lock_is_not_called_by_the_garbage_collector(sandbox: Sandbox) -> None:
    program = """
        import gc, sys, threading
        import amply_sdk
        lock, seen = threading.Lock(), []
        def observe(event):
            with lock:
                seen.append(event.kind)
        client = amply_sdk.Client(base_url=sys.argv[1], on_event=observe)
        gc.disable()
        ring = [client.route_task_tracked("store")]
        ring.append(ring)
        del ring
        with lock:
            gc.collect()
        client.close()
        print(seen)
    """
    done = python(program, sandbox.url)
    assert done.stdout == "['outcome_unreported']\n", done.stderr


@pytest.mark.parametrize("is_in_a_file", [False, True])
def test_a_block_that_ended_is_reported_though_its_task_is_cancelled_then(
    sandbox: Sandbox, run: Run, tmp_path: Path, is_in_a_file: bool
) -> None:
    async def block(client: AsyncClient) -> None:
        async with client.route_task_tracked("store"):
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)

    async def main() -> None:
        settings = {"store": tmp_path / "store.db"} if is_in_a_file else {}
        async with aclient(sandbox, **settings) as client:
            await asyncio.gather(*(block(client) for _ in range(20)), return_exceptions=True)
            for _ in range(1000):
                if client.outbox.counters()["queued"] == 20:
                    break
                await asyncio.sleep(0.01)
            assert await client.outbox.flush(20) == 0
            counters = client.outbox.counters()
            assert (counters["delivered"], counters["unreported"]) == (20, 0)

    run(main())


def test_a_route_is_asked_for_once_however_often_it_is_awaited(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        async with aclient(sandbox) as client:
            tracking = client.route_task_tracked("store")
            await tracking
            with pytest.raises(RuntimeError, match="asked for already"):
                await tracking
            with pytest.raises(RuntimeError, match="asked for already"):
                async with tracking:
                    pass

    run(main())
    assert len(sandbox.calls()) == 1


# Clients that are closed


def test_calls_that_are_under_way_end_when_their_client_is_closed(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        sandbox.fault({"delay": {"ms": 300}}, path="/status")
        client = aclient(sandbox)
        calls = [asyncio.create_task(client.status()) for _ in range(3)]
        while len(sandbox.calls()) < 3:
            await asyncio.sleep(0.005)
        await client.close()
        assert [status.ok for status in await asyncio.gather(*calls)] == [True] * 3

    run(asyncio.wait_for(main(), 30))


def test_a_client_may_be_closed_twice_at_once(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        for _ in range(20):
            client = aclient(sandbox)
            await client.status()
            await asyncio.gather(*(client.close() for _ in range(5)))
            assert client.is_closed

    run(asyncio.wait_for(main(), 30))


def test_a_closed_client_leaves_no_descriptor_in_its_loop(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        counts = []
        for _ in range(10):
            client = aclient(sandbox)
            call = asyncio.create_task(client.status())
            await asyncio.sleep(0)
            await client.close()
            await asyncio.gather(call, return_exceptions=True)
            # The connections of a client go with it, on another thread.
            del client, call
            gc.collect()
            await asyncio.sleep(0.01)
            counts.append(len(os.listdir("/proc/self/fd")))
        assert counts[-1] <= counts[2] + 4, counts

    if os.path.exists("/proc/self/fd"):
        run(main())


def test_a_loop_that_stands_still_lets_the_client_go(sandbox: Sandbox) -> None:
    client, first = aclient(sandbox), asyncio.new_event_loop()
    assert first.run_until_complete(client.status()).ok
    assert asyncio.run(client.status()).ok
    assert first.run_until_complete(client.status()).ok
    first.close()


def test_what_a_block_raised_is_not_replaced_by_what_the_end_of_its_client_raises(sandbox: Sandbox) -> None:
    class Broken(Client):
        def close(self, timeout: float = 5.0) -> None:
            raise ConfigError("it cannot be closed")

    with pytest.raises(ZeroDivisionError):
        with Broken(base_url=sandbox.url):
            1 / 0
    with pytest.raises(ConfigError):
        with Broken(base_url=sandbox.url):
            pass

    class AsyncBroken(AsyncClient):
        async def close(self, timeout: float = 5.0) -> None:
            raise ConfigError("it cannot be closed")

    async def main() -> None:
        async with AsyncBroken(base_url=sandbox.url):
            1 / 0

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_an_error_in_the_handling_of_another_one_names_it(client: Client) -> None:
    with pytest.raises(ValueError) as caught:
        try:
            1 / 0
        except ZeroDivisionError:
            client.route_task("")
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_sandboxes_share_a_thread() -> None:
    with Sandbox():
        pass
    before = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 0
    for _ in range(5):
        with Sandbox() as sandbox, sandbox.client() as client:
            assert client.status().ok
    if before:
        assert len(os.listdir("/proc/self/task")) <= before + 1


# Payers


def test_a_payer_that_has_no_end_does_not_keep_the_process_nor_crash_it(broke: Sandbox) -> None:
    program = """
        import sys, threading, time
        import amply_sdk
        url, key = sys.argv[1:]
        asked = threading.Event()
        def pay(request):
            asked.set()
            while True:
                time.sleep(0.0005)
        client = amply_sdk.Client(
            base_url=url, api_key=key, payer=pay, payer_timeout=1, store=":memory:",
            spend=amply_sdk.SpendPolicy(per_day="1", per_process_only=True),
        )
        threading.Thread(target=lambda: client.route_task("store"), daemon=True).start()
        asked.wait()
    """
    done = python(program, broke.url, broke.user_key)
    assert (done.returncode, done.stderr) == (0, "")


REQUEST = {
    "amount_usd": "0.01", "principal_id": None, "idempotency_key": "k", "reason": "a route", "base_url": "http://x",
    "suggested_usd": None,
}  # fmt: skip


async def pay_later(request: TopUpRequest) -> Receipt:
    return Receipt(request.amount_usd)


class PayLater:
    async def __call__(self, request: TopUpRequest) -> Receipt:
        return await pay_later(request)


def test_only_a_payer_that_cannot_have_begun_is_told_as_one_that_said_no() -> None:
    gone = asyncio.new_event_loop()
    gone.close()
    for payer in (pay_later, partial(pay_later), PayLater(), PayLater().__call__):
        assert "was not asked" in _ask_payer(payer, dict(REQUEST), gone)["rejected"]
    moved = []

    def moves_money(request: TopUpRequest) -> Any:
        moved.append(request)
        return pay_later(request)

    # Since Python 3.12 `inspect` takes such a callable for a coroutine function.
    getattr(__import__("inspect"), "markcoroutinefunction", lambda function: function)(moves_money)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        said = _ask_payer(moves_money, dict(REQUEST), gone)
        gc.collect()
    assert "unknown" in said and len(moved) == 1


def test_a_payer_whose_loop_ends_is_waited_for_no_longer() -> None:
    for runs_first in (False, True):
        loop, said = asyncio.new_event_loop(), []
        begun = threading.Event()

        async def pay(request: TopUpRequest) -> Receipt:
            begun.set()
            await asyncio.sleep(3600)
            raise AssertionError

        asking = threading.Thread(target=lambda: said.append(_ask_payer(pay, dict(REQUEST), loop)))
        if runs_first:
            asking.start()

            async def until_begun() -> None:
                while not begun.is_set():
                    await asyncio.sleep(0.001)

            loop.run_until_complete(until_begun())
        else:
            asking.start()
        loop.close()
        asking.join(20)
        assert [list(one) for one in said] == [["unknown" if runs_first else "rejected"]]
    gc.collect()


def test_a_payer_that_would_wait_for_itself_is_told_at_once(broke: Sandbox, run: Run) -> None:
    said: list[str] = []

    def pay(request: TopUpRequest) -> Receipt:
        with pytest.raises(ConfigError) as caught:
            client.route_task("store")
        said.append(str(caught.value))
        with pytest.raises(ConfigError):
            client.route_task_tracked("store")
        with pytest.raises(ConfigError):
            client.top_up(1)
        assert client.billing_status().balance_usd == 0
        broke.control("POST", "/balance", {"set_usd": str(request.amount_usd)})
        return Receipt(request.amount_usd)

    with broke.paying_client(per_day="1", payer=pay) as client:
        assert client.route_task("store").meta.paid_usd is not None
    assert "it would wait for itself" in said[0]
    broke.control("POST", "/balance", {"set_usd": "0"})

    async def main() -> None:
        async def pay(request: TopUpRequest) -> Receipt:
            with pytest.raises(ConfigError, match="it would wait for itself"):
                await client.route_task("store")
            with pytest.raises(ConfigError, match="it would wait for itself"):
                await client.route_task_tracked("store")
            with pytest.raises(ConfigError, match="it would wait for itself"):
                await client.top_up(1)
            broke.control("POST", "/balance", {"set_usd": str(request.amount_usd)})
            return Receipt(request.amount_usd)

        async with aclient(broke, payer=pay, store=":memory:", spend=policy()) as client:
            assert (await client.route_task("store")).meta.paid_usd is not None

    run(main())


# Processes


def test_the_end_delivers_what_a_client_left_that_nobody_has_any_more(sandbox: Sandbox) -> None:
    # So long that the end comes first.
    sandbox.fault({"delay": {"ms": 50}}, path="/outcome")
    program = """
        import sys
        import amply_sdk
        url, key = sys.argv[1:]
        def work():
            client = amply_sdk.Client(base_url=url, api_key=key)
            for n in range(20):
                with client.route_task_tracked("store"):
                    pass
            return client.route_task_tracked("store")
        tracked = work()
        tracked.report_in_background(success=True)
        for n in range(10):  # more than are kept
            client = amply_sdk.route_task_tracked(api_key=f"{key}", task="store", base_url=url + "/" * n)
            client.report_in_background(success=True)
    """
    done = python(program, sandbox.url, sandbox.user_key)
    assert (done.returncode, done.stderr) == (0, "")
    assert outcomes(sandbox) == 31


@unix
@pytest.mark.parametrize("is_made_in_the_child", [False, True])
def test_a_child_of_multiprocessing_delivers_what_it_handed_over(sandbox: Sandbox, is_made_in_the_child: bool) -> None:
    def work() -> None:
        client = sandbox.client() if is_made_in_the_child else made
        routes = [client.route_task_tracked("store") for _ in range(20)]
        for route in routes:
            route.report_in_background(success=True)

    with sandbox.client() as made:
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(30)
        assert child.exitcode == 0
    assert outcomes(sandbox) == 20


def test_the_end_takes_its_time_once_and_not_for_each_client(sandbox: Sandbox) -> None:
    sandbox.fault({"delay": {"ms": 20_000}}, path="/outcome")
    program = """
        import atexit, sys, time
        began = []
        atexit.register(lambda: print(time.monotonic() - began[0]))
        import amply_sdk
        url, key = sys.argv[1:]
        clients = [amply_sdk.Client(base_url=url, api_key=key) for _ in range(8)]
        for client in clients:
            client.route_task_tracked("store").report_in_background(success=True)
        began.append(time.monotonic())
    """
    done = python(program, sandbox.url, sandbox.user_key)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10


def test_an_observer_that_has_no_end_does_not_keep_the_process(sandbox: Sandbox) -> None:
    program = """
        import sys, time
        import amply_sdk
        def observe(event):
            while True:
                time.sleep(0.0005)
        client = amply_sdk.Client(base_url=sys.argv[1], on_event=observe)
        for _ in range(3):
            client.route_task_tracked("store")
    """
    done = python(program, sandbox.url)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_observer_ends_with_its_client(sandbox: Sandbox) -> None:
    seen: list[Event] = []
    for _ in range(5):
        with sandbox.client(on_event=seen.append) as client:
            client.route_task_tracked("store")
        del client
    gc.collect()
    for _ in range(1000):
        if not [thread for thread in threading.enumerate() if thread.name == "amply-events"]:
            break
        time.sleep(0.01)
    assert len(seen) == 5
    assert [thread for thread in threading.enumerate() if thread.name == "amply-events"] == []


@unix
def test_a_forked_child_has_the_settings_of_its_parent_whatever_became_of_the_environment(sandbox: Sandbox) -> None:
    program = """
        import os, sys
        import amply_sdk
        os.environ.update(AMPLY_API_KEY=sys.argv[2], AMPLY_BASE_URL=sys.argv[1], AMPLY_TIMEOUT="7s")
        client = amply_sdk.Client.from_env()
        for name in ("AMPLY_API_KEY", "AMPLY_BASE_URL", "AMPLY_TIMEOUT"):
            del os.environ[name]
        child = os.fork()
        if child == 0:
            ok = (client.base_url, client.key_kind) == (sys.argv[1], "user") and client.route_task("store").recommended
            os._exit(0 if ok else 1)
        print(os.waitpid(child, 0)[1])
    """
    done = python(program, sandbox.url, sandbox.user_key)
    assert done.stdout == "0\n", done.stderr
