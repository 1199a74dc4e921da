"""How the clients behave in a process: threads, the GIL, Ctrl-C, forks, the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from amply_sdk import Client, Sandbox

unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def python(program: str, *arguments: str, limit: float = 30) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, with a limit that a hang would meet."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, timeout=limit
    )


def test_64_threads_share_a_client(sandbox: Sandbox, client: Client) -> None:
    def routes(of: int) -> list[str]:
        return [client.route_task(f"store {of * 10 + n}k vectors").recommended for n in range(10)]

    with ThreadPoolExecutor(64) as threads:
        found = [name for names in threads.map(routes, range(64)) for name in names]
    assert found == ["qdrant"] * 640
    assert len({call["body"] for call in sandbox.calls()}) == 640


def test_the_gil_is_released_while_a_call_waits(sandbox: Sandbox, client: Client) -> None:
    sandbox.fault({"delay": {"ms": 400}}, path="/status")
    turns = 0
    done = threading.Event()

    def work() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    worker = threading.Thread(target=work)
    worker.start()
    client.status()
    before = turns
    done.set()
    worker.join()
    assert before > 20


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A program of its own that runs meanwhile. It ends with the block, whatever happens."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_a_call(sandbox: Sandbox) -> None:
    while not sandbox.calls():
        time.sleep(0.005)


@unix
def test_ctrl_c_ends_a_call_at_once(sandbox: Sandbox) -> None:
    sandbox.fault({"delay": {"ms": 20_000}}, path="/status")
    program = """
        import sys, time
        import amply_sdk
        client = amply_sdk.Client(base_url=sys.argv[1])
        try:
            client.status()
        except KeyboardInterrupt:
            print(time.monotonic())
        print(client.with_options(timeout=10).providers()["providers"][0]["id"])
    """
    # The best of three: the limit is the client's, and a busy machine may add to it.
    waits = []
    for _ in range(3):
        sandbox.clear()
        with running(program, sandbox.url) as process:
            wait_for_a_call(sandbox)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=30)
        ended, after = said.split()
        assert after == "qdrant", errors
        waits.append(float(ended) - sent)
        if min(waits) < 0.1:
            break
    assert min(waits) < 0.1, waits


@unix
def test_a_signal_handler_that_raises_ends_a_call_with_what_it_raised(sandbox: Sandbox, client: Client) -> None:
    class TooLate(Exception):
        pass

    def raises(*_: object) -> None:
        raise TooLate

    sandbox.fault({"delay": {"ms": 20_000}}, path="/status")
    before = signal.signal(signal.SIGALRM, raises)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(TooLate):
            client.status()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert client.providers().meta.status == 200


def ask_in_child(client: Client, answers: multiprocessing.queues.Queue[object]) -> None:
    try:
        answers.put(client.route_task("store 1M vectors").recommended)
    except BaseException as error:
        answers.put(repr(error))


@unix
def test_a_forked_child_has_a_client_that_works(sandbox: Sandbox, client: Client) -> None:
    client.route_task("store 1M vectors")
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    children = [fork.Process(target=ask_in_child, args=(client, answers)) for _ in range(4)]
    for child in children:
        child.start()
    assert [answers.get(timeout=20) for _ in children] == ["qdrant"] * 4
    for child in children:
        child.join(20)
        assert child.exitcode == 0
    # The parent's own connections are untouched.
    assert client.route_task("store 1M vectors").recommended == "qdrant"


@unix
def test_a_fork_in_the_middle_of_calls_of_other_threads_does_not_hang(sandbox: Sandbox) -> None:
    program = """
        import os, sys, threading
        import amply_sdk
        client = amply_sdk.Client(base_url=sys.argv[1])
        stop = threading.Event()
        def call():
            while not stop.is_set():
                client.status()
        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                os._exit(0 if client.status().ok else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        print("done")
    """
    done = python(program, sandbox.url, limit=60)
    assert done.stdout == "done\n", done.stderr


@unix
def test_asyncio_works_on_both_sides_of_a_fork(sandbox: Sandbox) -> None:
    program = """
        import asyncio, os, sys
        import amply_sdk
        client = amply_sdk.AsyncClient(base_url=sys.argv[1])
        async def ask():
            return (await client.status()).ok
        assert asyncio.run(ask())
        child = os.fork()
        ok = asyncio.run(ask())
        if child == 0:
            os._exit(0 if ok else 1)
        assert ok and os.waitpid(child, 0)[1] == 0
        print("done")
    """
    done = python(program, sandbox.url)
    assert done.stdout == "done\n", done.stderr


@unix
def test_a_forked_child_keeps_the_caps_of_a_store(broke: Sandbox, tmp_path: Path) -> None:
    program = """
        import os, sys
        import amply_sdk
        from amply_sdk import SpendLimitError, SpendPolicy, TopUpService
        url, key, topup, token, store = sys.argv[1:]
        client = amply_sdk.Client(
            base_url=url, api_key=key, payer=TopUpService(topup, token=token), store=store, spend=SpendPolicy(per_day="0.02")
        )
        client.route_task("first")
        child = os.fork()
        if child == 0:
            paid = client.route_task("second").meta.paid_usd
            os._exit(0 if str(paid) == "0.01" else 1)
        assert os.waitpid(child, 0)[1] == 0
        try:
            client.route_task("third")
        except SpendLimitError as error:
            print(error.cap, len(client.payments.list()))
    """
    done = python(
        program, broke.url, broke.user_key, broke.topup_url, broke.topup_token, str(tmp_path / "store.db")
    )
    assert done.stdout == "per_day 2\n", done.stderr


@unix
def test_a_forked_child_with_books_of_the_parent_alone_gets_a_clear_error(broke: Sandbox) -> None:
    program = """
        import os, sys
        import amply_sdk
        from amply_sdk import ConfigError, SpendPolicy, TopUpService
        url, key, topup, token = sys.argv[1:]
        client = amply_sdk.Client(
            base_url=url, api_key=key, payer=TopUpService(topup, token=token),
            spend=SpendPolicy(per_day="1", per_process_only=True),
        )
        client.route_task("first")
        child = os.fork()
        if child == 0:
            try:
                client.route_task("second")
            except ConfigError as error:
                os._exit(0 if "fork" in str(error) else 2)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        print("done")
    """
    done = python(program, broke.url, broke.user_key, broke.topup_url, broke.topup_token)
    assert done.stdout == "done\n", done.stderr


def test_the_end_of_the_interpreter_waits_for_a_payment_that_runs(broke: Sandbox, tmp_path: Path) -> None:
    program = """
        import sys, threading, time
        import amply_sdk
        from amply_sdk import Receipt, SpendPolicy
        url, key, store = sys.argv[1:]
        asked = threading.Event()
        def pay(request):
            asked.set()
            time.sleep(0.5)
            return Receipt(request.amount_usd)
        client = amply_sdk.Client(
            base_url=url, api_key=key, payer=pay, store=store, spend=SpendPolicy(per_day="1")
        )
        threading.Thread(target=lambda: client.route_task("store"), daemon=True).start()
        asked.wait()
    """
    store = tmp_path / "store.db"
    done = python(program, broke.url, broke.user_key, str(store))
    assert done.returncode == 0, done.stderr
    with broke.client(store=store) as client:
        [payment] = client.payments.list()
        assert payment.state in ("settled", "settled_not_applied")


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_the_end_of_the_interpreter_does_not_hang_with_calls_open(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault({"delay": {"ms": 20_000}}, path="/status")
    program = """
        import asyncio, sys, threading
        import amply_sdk
        client = getattr(amply_sdk, sys.argv[2])(base_url=sys.argv[1])
        def call():
            if sys.argv[2] == "Client":
                client.status()
            else:
                asyncio.run(client.status())
        threading.Thread(target=call, daemon=True).start()
        sys.stdin.readline()
    """
    with running(program, sandbox.url, kind) as process:
        wait_for_a_call(sandbox)
        began = time.monotonic()
        _, errors = process.communicate("end\n", timeout=30)
        assert process.returncode == 0, errors
        assert time.monotonic() - began < 10


def test_a_client_works_where_a_loop_runs_already(sandbox: Sandbox) -> None:
    """As in Jupyter."""
    import asyncio

    async def cell() -> str:
        with Sandbox() as inner, inner.client() as client:
            return client.route_task("store 1M vectors").recommended

    assert asyncio.run(cell()) == "qdrant"


