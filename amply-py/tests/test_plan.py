"""What is known before money moves, and top-ups with the admin secret."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any, Callable

import pytest

from amply_sdk import (
    AdminTopUp, AsyncClient, Client, InvalidRequestError, PaymentFailedError, Sandbox, SpendPolicy, TopUpService,
)  # fmt: skip

NOBODY = "http://127.0.0.1:9"


def test_a_plan_sends_nothing_and_shows_no_secret(run: Callable[..., Any]) -> None:
    key = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz"
    client, aclient = (kind(api_key=key, base_url=NOBODY) for kind in (Client, AsyncClient))
    plan = client.plan("store 1M vectors", dimension=768, idempotency_key="job-7")
    assert plan == run(aclient.plan("store 1M vectors", dimension=768, idempotency_key="job-7"))
    assert (plan.url, plan.body["dimension"], plan.key_kind) == (f"{NOBODY}/api/v1/route", 768, "user")
    assert plan.headers["idempotency-key"] == "job-7"
    assert "xYzAb3" not in f"{plan!r}{plan['headers']}"
    assert (plan.timeout_s, plan.retry["max_attempts"], plan.payment.rails) == (30.0, 3, [])
    with pytest.raises(InvalidRequestError):
        client.plan(" ")
    with pytest.raises(InvalidRequestError):
        run(aclient.plan("x", dimension=0))


def test_a_plan_says_who_would_pay_and_what_the_caps_leave(broke: Sandbox) -> None:
    spend = SpendPolicy(per_topup="1", per_day="5", per_process_only=True)
    service = TopUpService(broke.topup_url, token=broke.topup_token)
    with broke.client(store=":memory:", spend=spend, payer=service) as client:
        client.route_task("store 1M vectors")
        payment = client.plan("store 1M vectors").payment
        assert payment.would_pay and payment.blocked is None and payment.open_payment_id is None
        assert [(rail.rail, rail.obstacle) for rail in payment.rails] == [("wallet", None)]
        left = {cap.cap: (cap.used_usd, cap.left_usd) for cap in payment.caps}
        assert left == {"per_topup": (Decimal(0), Decimal(1)), "per_day": (Decimal("0.01"), Decimal("4.99"))}
    refused = Client(base_url=NOBODY, api_key="server", principal="require").plan("x")
    assert not refused.would_be_sent and refused.refusal and "refused" in refused.principal["consequence"]


def test_an_explanation_adds_up_and_says_what_is_missing(client: Client) -> None:
    route = client.route_task("store 1M vectors")
    explanation = route.explain()
    assert explanation.is_exact and explanation.missing == [] and explanation.why == route.why_text
    for provider in explanation.providers:
        assert sum(part.contribution or 0 for part in provider.components) == pytest.approx(provider.composite)
        assert (provider.to_win is None) == (provider.provider_id == route.recommended)
    bare = type(route)({"recommended": "qdrant"}).explain()
    assert not bare.is_exact and bare.providers == [] and "raw_metrics" in bare.missing[0]


def test_the_admin_tops_up_and_the_secret_is_told_to_nobody(broke: Sandbox, run: Callable[..., Any]) -> None:
    spend = SpendPolicy(per_topup="1", per_day="5", per_process_only=True)
    payer = AdminTopUp(secret=broke.admin_secret)
    with broke.client(store=":memory:", spend=spend, payer=payer) as client:
        assert client.route_task("store 1M vectors").meta.paid_usd == Decimal("0.01")
        assert "admin" in client.plan("x").payment.rails[0].payer

    async def paid() -> Decimal | None:
        wrong = AdminTopUp(secret="wrong-secret")
        async with AsyncClient(
            api_key=broke.user_key, base_url=broke.url, store=":memory:", spend=spend, payer=wrong
        ) as client:
            with pytest.raises(PaymentFailedError) as failed:
                await client.route_task("store 1M vectors")
            assert "wrong-secret" not in f"{failed.value!r}{failed.value}"
        async with AsyncClient(
            api_key=broke.user_key, base_url=broke.url, store=":memory:", spend=spend, payer=payer
        ) as client:
            return (await client.route_task("store 1M vectors")).meta.paid_usd

    assert run(paid()) == Decimal("0.01")
    assert broke.admin_secret not in repr(payer)
    with pytest.raises(TypeError):
        pickle.dumps(payer)
    for bad in (None, 7):
        with pytest.raises(TypeError):
            AdminTopUp(secret=bad)  # type: ignore[arg-type]
