"""What is known before money moves, and top-ups with the admin secret."""

from __future__ import annotations

import pickle
from decimal import Decimal
from typing import Any, Callable

import pytest

from amply_sdk import (
    AdminTopUp, AsyncClient, Client, ConfigError, InvalidRequestError, PaymentFailedError, Sandbox, SpendLimitError, SpendPolicy,
    TopUpService,
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


def test_a_top_up_credits_the_wallet_once_for_a_key_and_within_the_caps(sandbox: Sandbox, run: Callable[..., Any]) -> None:
    settings: dict[str, Any] = {
        "api_key": sandbox.user_key,
        "base_url": sandbox.url,
        "payer": AdminTopUp(secret=sandbox.admin_secret),
        "spend": SpendPolicy(per_topup="6", per_day="20", per_process_only=True),
        "store": ":memory:",
    }
    with Client(**settings) as client:
        payment = client.top_up("5", reason="monthly budget", idempotency_key="2026-11")
        assert (payment.state, payment.amount_usd, payment.principal_id) == ("settled", Decimal(5), sandbox.principal_id)
        assert client.billing_status().balance_usd == Decimal(15)
        assert client.top_up(Decimal("5.00"), reason="monthly budget", idempotency_key="2026-11") == payment
        assert client.payments.list() == [payment] and client.payments.show(payment.id) == payment
        assert client.billing_status().balance_usd == Decimal(15)
        with pytest.raises(SpendLimitError) as over:
            client.top_up(7)
        assert over.value.cap == "per_topup"
        assert client.billing_status().balance_usd == Decimal(15)

    async def topped_up() -> tuple[str, Decimal | None]:
        async with AsyncClient(**settings) as client:
            payment = await client.top_up(5, principal_id=sandbox.principal_id)
            with pytest.raises(SpendLimitError):
                await client.top_up(7)
            return payment.state, (await client.billing_status()).balance_usd

    assert run(topped_up()) == ("settled", Decimal(20))


def test_a_top_up_that_cannot_be_meant_is_refused_before_anything_is_sent(run: Callable[..., Any]) -> None:
    spend = SpendPolicy(per_topup="6", per_day="20", per_process_only=True)
    payer = AdminTopUp(secret="secret")
    kinds = (Client, AsyncClient)
    client, aclient = (kind(base_url=NOBODY, store=":memory:", spend=spend, payer=payer) for kind in kinds)
    wrong: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (0.1, {}, TypeError, "amount_usd is the float 0.1, which cannot hold most amounts exactly; write '0.1'"),
        (None, {}, TypeError, "amount_usd must be an amount in USD (Decimal, str or int), not NoneType"),
        (True, {}, TypeError, "amount_usd must be an amount in USD (Decimal, str or int), not bool"),
        ("five", {}, ValueError, "amount_usd is 'five', which is no amount in USD"),
        ("1" * 40, {}, InvalidRequestError, "amount_usd"),
        (0, {}, InvalidRequestError, "it must be above 0"),
        ("-1", {}, InvalidRequestError, "it must be above 0"),
        ("0.001", {}, InvalidRequestError, "in whole cents"),
        (1, {"principal_id": " "}, InvalidRequestError, "principal_id is empty"),
        (1, {"reason": 7}, TypeError, "reason must be a str, not int"),
        (1, {"idempotency_key": "a b"}, InvalidRequestError, "idempotency_key holds a character"),
    ]
    for amount, others, kind, says in wrong:
        with pytest.raises(kind) as refused:
            client.top_up(amount, **others)
        assert says in str(refused.value)
        with pytest.raises(kind) as refused:
            run(aclient.top_up(amount, **others))
        assert says in str(refused.value)
    assert client.payments.list() == []
    with pytest.raises(ConfigError, match="nobody tops up the wallet"):
        Client(base_url=NOBODY).top_up(1)
