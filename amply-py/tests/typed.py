"""What a user's type checker sees. `mypy --strict` reads it; nothing runs it."""

from __future__ import annotations

from collections.abc import Awaitable
from decimal import Decimal

from amply_sdk import (
    AgentStep,
    AsyncClient,
    Client,
    Execution,
    NewAccount,
    Receipt,
    Route,
    SpendPolicy,
    TopUpRequest,
    route_task,
)


def pay(request: TopUpRequest) -> Receipt:
    amount: Decimal = request.amount_usd
    return Receipt(amount)


async def pay_later(request: TopUpRequest) -> Receipt:
    return pay(request)


def calls() -> None:
    with Client(api_key="k", payer=pay, spend=SpendPolicy(per_day="1")) as client:
        route: Route = client.route_task("store 1M vectors", workload_type="hybrid")
        cost: Decimal | None = route.estimated_cost_usd
        first: str = route.rankings[0].provider_id
        quick: Client = client.with_options(timeout=2)
        step: AgentStep | None = client.agent().next_step(["discover"])
        account: NewAccount = client.signup("2026-11-01", token="t")
        key: str = account.api_key
        execution: Execution = client.execute("store 1M vectors", credential_ref=client.credentials.add("qdrant", "s").id)
        saved: Decimal | None = client.savings_report("90d").totals.saved_usd
        topped_up: Decimal = client.top_up(Decimal("5"), idempotency_key="2026-11").amount_usd
        print(execution.output, saved, topped_up)
    print(cost, first, quick, step, key, route_task(api_key="k", task="t")["recommended"])


async def awaits() -> None:
    async with AsyncClient(payer=pay_later) as client:
        call: Awaitable[Route] = client.route_task("store 1M vectors")
        print((await call).recommended, [payment.state for payment in await client.payments.list()])
        name: str = (await client.route_task_tracked("store")).recommended
        wrong: int = await client.route_task_tracked("store")  # type: ignore[assignment]
        print(name, wrong)


Client.from_env(tiemout=3)  # type: ignore[call-arg]
AsyncClient.from_env(timeout="3")  # type: ignore[arg-type]
Client(spend=SpendPolicy(per_day=0.1))  # type: ignore[arg-type]
Client().route_task(b"store")  # type: ignore[arg-type]
Client().route_task("store", workload_type="writes")  # type: ignore[arg-type]
Client().top_up(5.0)  # type: ignore[arg-type]
Client().savings_report("7d")  # type: ignore[arg-type]
