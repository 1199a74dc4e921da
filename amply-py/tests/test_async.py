"""The client for asyncio is the twin of the other, and a cancelled task cancels its call."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from amply_sdk import (
    AsyncClient, AsyncOutbox, AsyncPayments, AsyncTrackedRoute, Client, Outbox, Payments, PaymentUnknownError, Receipt, Sandbox,
    TopUpRequest, TrackedRoute,
)  # fmt: skip

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def aclient(sandbox: Sandbox, **settings: Any) -> AsyncClient:
    return AsyncClient(**{"api_key": sandbox.user_key, "base_url": sandbox.url, **settings})


@pytest.mark.parametrize("kind, twin",
    [(Client, AsyncClient), (Payments, AsyncPayments), (Outbox, AsyncOutbox), (TrackedRoute, AsyncTrackedRoute)],
)
def test_the_twins_have_the_same_calls_with_the_same_arguments(kind: type, twin: type) -> None:
    def calls(of: type) -> dict[str, str]:
        found = inspect.getmembers(of, lambda part: inspect.isfunction(part) or inspect.ismethod(part) or isinstance(part, property))
        return {
            name: str(inspect.signature(part)).replace("AsyncTracking", "TrackedRoute") if callable(part) else "property"
            for name, part in found
            if not name.startswith("_")
        }

    assert calls(kind) == calls(twin)
    assert str(inspect.signature(kind)) == str(inspect.signature(twin))
    for name, part in vars(twin).items():
        if inspect.isfunction(part) and not name.startswith("_"):
            # Those that wait for nothing, and the one that is a context manager too.
            plain = ("with_options", "ticket", "report_in_background", "counters", "route_task_tracked")
            assert inspect.iscoroutinefunction(part) == (name not in plain), name


def test_many_calls_at_once(sandbox: Sandbox, run: Run) -> None:
    async def main() -> list[str]:
        async with aclient(sandbox) as client:
            routes = await asyncio.gather(*(client.route_task(f"store {n}k vectors") for n in range(200)))
            return [route.recommended for route in routes]

    assert run(main()) == ["qdrant"] * 200
    assert len(sandbox.calls()) == 200


def test_both_twins_give_the_same_answers(run: Run) -> None:
    def plain(answer: Any) -> Any:
        return answer if not isinstance(answer, dict) else {key: answer[key] for key in answer if key != "compute_ms"}

    names = ["status", "providers", "health", "openapi", "platform_metrics", "billing_status"]
    with Sandbox(port=0) as one, one.client() as client:
        first = [plain(getattr(client, name)()) for name in names] + [plain(client.route_task("store"))]

        async def main() -> list[Any]:
            async with aclient(one) as twin:
                found = [plain(await getattr(twin, name)()) for name in names]
                return [*found, plain(await twin.route_task("store"))]

        second = run(main())
    for one_answer, other in zip(first, second):
        assert type(one_answer) is type(other)
        assert set(one_answer) == set(other)


def test_cancelling_a_task_cancels_its_call(sandbox: Sandbox, run: Run) -> None:
    sandbox.fault({"delay": {"ms": 30_000}}, path="/route")

    async def main() -> None:
        async with aclient(sandbox) as client:
            task = asyncio.create_task(client.route_task("store"))
            while not sandbox.calls():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.route_task("store"), 0.1)
            # The client goes on.
            assert (await client.status()).ok

    run(main())


def test_a_call_that_is_cancelled_before_it_began_is_never_sent(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        async with aclient(sandbox) as client:
            task = asyncio.create_task(client.route_task("store"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.status()

    run(main())
    assert [call["path"] for call in sandbox.calls()] == ["/api/v1/status"]


def test_cancelling_a_task_never_cancels_its_payment(broke: Sandbox, run: Run) -> None:
    asked, may_pay = threading.Event(), threading.Event()

    def pay(request: TopUpRequest) -> Receipt:
        asked.set()
        may_pay.wait(20)
        return Receipt(request.amount_usd)

    async def main() -> str:
        client = aclient(broke, payer=pay, store=":memory:", spend=policy())
        task = asyncio.create_task(client.route_task("store"))
        while not asked.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.is_paying
        may_pay.set()
        await client.close()
        return "closed"

    assert run(main()) == "closed"


def policy() -> Any:
    from amply_sdk import SpendPolicy

    return SpendPolicy(per_day="1", per_process_only=True)


def test_a_coroutine_function_pays_on_the_loop_of_the_client(broke: Sandbox, run: Run) -> None:
    where: list[object] = []

    async def pay(request: TopUpRequest) -> Receipt:
        where.append(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
        broke.control("POST", "/balance", {"set_usd": str(request.amount_usd)})
        return Receipt(request.amount_usd)

    async def main() -> None:
        async with aclient(broke, payer=pay, store=":memory:", spend=policy()) as client:
            route = await client.route_task("store")
            assert str(route.meta.paid_usd) == "0.01"
            assert where == [asyncio.get_running_loop()]
            assert [payment.state for payment in await client.payments.list()] == ["settled"]

    run(main())


def test_a_coroutine_function_pays_for_a_client_without_asyncio_too(broke: Sandbox) -> None:
    async def pay(request: TopUpRequest) -> Receipt:
        broke.control("POST", "/balance", {"set_usd": str(request.amount_usd)})
        return Receipt(request.amount_usd)

    with broke.paying_client(per_day="1", payer=pay) as client:
        assert str(client.route_task("store").meta.paid_usd) == "0.01"


def test_errors_come_through(broke: Sandbox, run: Run) -> None:
    async def pay(request: TopUpRequest) -> Receipt:
        raise OSError

    async def main() -> None:
        async with aclient(broke, payer=pay, store=":memory:", spend=policy()) as client:
            with pytest.raises(PaymentUnknownError) as caught:
                await client.route_task("store")
            payment = await client.payments.show(str(caught.value.payment_id))
            assert payment.reason == "the payer raised OSError"
            assert await client.payments.answer(payment.id) is None
            assert await client.payments.blocked() is None and await client.payments.unblock() is False
            assert (await client.payments.resolve(payment.id, "rejected")).verdict == "rejected"

    run(main())


def test_one_client_serves_one_loop_after_another(sandbox: Sandbox) -> None:
    client = aclient(sandbox)
    for _ in range(3):
        assert asyncio.run(client.status()).ok


def test_options_for_some_calls(sandbox: Sandbox, run: Run) -> None:
    sandbox.fault({"delay": {"ms": 5_000}}, path="/status")

    async def main() -> None:
        async with aclient(sandbox) as client:
            with pytest.raises(TimeoutError):
                await client.with_options(timeout=0.1).status()

    run(main())


def test_a_client_that_was_never_closed_leaves_no_descriptor_in_its_loop(sandbox: Sandbox, run: Run) -> None:
    async def main() -> None:
        for _ in range(3):
            await aclient(sandbox).status()
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await aclient(sandbox).status()
            gc.collect()
            await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before + 10

    if os.path.exists("/proc/self/fd"):
        run(main())
