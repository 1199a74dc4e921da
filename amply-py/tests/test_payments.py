"""Payments, as far as they are the bindings' affair; what the SDK promises of them is tested there."""

from __future__ import annotations

import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import (
    Client, Event, InvalidRequestError, PaymentRefusedError, Receipt, Sandbox, SpendLimitError, SpendPolicy, TopUpRequest,
    TopUpService, X402,
)  # fmt: skip

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""A development key that everybody knows. It must never hold funds."""
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_a_service_pays_and_the_same_request_is_sent_again(broke: Sandbox, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    settings: dict[str, Any] = {
        "payer": TopUpService(broke.topup_url, token=broke.topup_token),
        "spend": SpendPolicy(per_topup=Decimal("0.05"), per_day="0.02"),
        "store": store,
    }
    with broke.client(**settings) as client:
        route = client.route_task("store 1M vectors")
        assert route.meta.paid_usd == Decimal("0.01") and route.meta.payment_id
        payment = client.payments.show(route.meta.payment_id)
        assert (payment.state, payment.rail, payment.amount_usd) == ("settled", "wallet", Decimal("0.01"))
        assert payment.principal_id == broke.principal_id
        assert payment.created_at and payment.ended_at and payment.created_at <= payment.ended_at
        assert pickle.loads(pickle.dumps(payment)) == payment
    # Another client with the same file keeps the same cap.
    with broke.client(**settings) as client:
        client.route_task("store 2M vectors")
        with pytest.raises(SpendLimitError) as caught:
            client.route_task("store 3M vectors")
        assert (caught.value.cap, caught.value.code) == ("per_day", "spend_limit")
        assert len(client.payments.list()) == 2
    routes = [call for call in broke.calls() if call["path"] == "/api/v1/route"]
    keys = [dict(call["headers"])["idempotency-key"] for call in routes]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_a_callable_is_asked_exactly_and_its_events_are_told(broke: Sandbox) -> None:
    asked: list[TopUpRequest] = []
    seen: list[Event] = []

    def pay(request: TopUpRequest) -> Receipt:
        asked.append(request)
        broke.control("POST", "/balance", {"set_usd": str(request.amount_usd)})
        return Receipt(request.amount_usd, balance_usd="0.01", topup_id="t1")

    with broke.paying_client(per_day="1", payer=pay, on_event=seen.append) as client:
        client.route_task("store 1M vectors", idempotency_key="job-1")
        [payment] = client.payments.list()
    [request] = asked
    assert (request.amount_usd, request.principal_id) == (Decimal("0.01"), broke.principal_id)
    assert request.idempotency_key and request.base_url == broke.url and request.suggested_usd is None
    assert payment["receipt"] == {"credited_usd": "0.01", "balance_usd": "0.01", "topup_id": "t1"}
    assert payment["calls"][0]["call_key"] == "job-1"
    assert [(event.kind, event.payment_id, event.rail) for event in seen] == [
        ("payment_intended", payment.id, "wallet"),
        ("payment_settled", payment.id, "wallet"),
    ]
    assert pickle.loads(pickle.dumps(seen[1])) == seen[1] and seen[1].credited_usd == Decimal("0.01")


def test_an_observer_that_raises_takes_no_payment_with_it(broke: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)

    def observe(event: Event) -> None:
        raise RuntimeError(event.kind)

    with broke.paying_client(per_day="1", on_event=observe) as client:
        assert client.route_task("store").meta.paid_usd == Decimal("0.01")
    assert [str(one.exc_value) for one in shown] == ["payment_intended", "payment_settled"]


def test_an_observer_that_calls_the_client_is_told_that_it_may_not(sandbox: Sandbox) -> None:
    said: list[str] = []

    def observe(event: Event) -> None:
        try:
            client.status()
        except Exception as error:
            said.append(str(error))

    with Sandbox(release="3.1.13") as other:
        client = other.client(api_key=other.server_key, on_event=observe)
        client.route_task("store")
    assert len(said) == 1 and "cannot be called from within its own call" in said[0]


@pytest.fixture
def open_sandbox() -> Any:
    with Sandbox(balance="0", strict_wallet=True, open_payments="both") as sandbox:
        yield sandbox


def test_x402_pays_with_a_key(open_sandbox: Sandbox) -> None:
    with open_sandbox.client(
        x402=X402(key=open_sandbox.x402_key, networks=["base-sepolia"]),
        spend=SpendPolicy(per_request="0.05", per_day="1", per_process_only=True),
        store=":memory:",
    ) as client:
        route = client.route_task("store")
        assert route.meta.paid_usd == Decimal("0.01")
        [payment] = client.payments.list()
        assert (payment.rail, payment.state) == ("x402", "settled")
        answer = client.payments.answer(payment.id)
        assert answer is not None and answer.status == 200 and b"recommended" in answer.body
    assert len(open_sandbox.control("GET", "/settlements")["settlements"]) == 1


def test_x402_asks_a_signer_and_never_trusts_it(open_sandbox: Sandbox) -> None:
    digests: list[bytes] = []

    def sign(digest: bytes) -> bytes:
        digests.append(digest)
        return b"\x01" * 65

    with open_sandbox.client(
        x402=X402(signer=sign, address=ADDRESS, networks=["base-sepolia"]),
        spend=SpendPolicy(per_request="0.05", per_day="1", per_process_only=True),
        store=":memory:",
    ) as client:
        with pytest.raises(Exception) as caught:
            client.route_task("store")
        assert type(caught.value).__name__ == "PaymentFailedError"
    assert [len(digest) for digest in digests] == [32]
    assert open_sandbox.control("GET", "/settlements")["settlements"] == []


def test_x402_says_why_an_offer_is_not_acceptable(open_sandbox: Sandbox) -> None:
    with open_sandbox.client(
        x402=X402(key=KEY, networks=["base"]),
        spend=SpendPolicy(per_request="0.05", per_day="1", per_process_only=True),
        store=":memory:",
    ) as client:
        with pytest.raises(PaymentRefusedError) as caught:
            client.route_task("store")
        assert caught.value.reasons


def test_nothing_is_paid_without_a_policy(broke: Sandbox) -> None:
    with pytest.raises(Exception, match="a payer needs a spend policy"):
        broke.client(payer=TopUpService(broke.topup_url, token=broke.topup_token))


def test_a_payment_that_is_not_there(client: Client) -> None:
    with pytest.raises(InvalidRequestError):
        client.payments.show("no-such-payment")
    with pytest.raises(InvalidRequestError):
        client.payments.resolve("no-such-payment", "maybe")  # type: ignore[arg-type]


def test_no_secret_is_shown(broke: Sandbox) -> None:
    service = TopUpService(broke.topup_url, token=broke.topup_token)
    x402 = X402(key=KEY, networks=["base"])
    client = broke.client()
    shown = f"{service!r} {x402!r} {client!r} {SpendPolicy(per_day=1)!r} {broke!r}"
    for secret in (broke.topup_token, KEY, broke.user_key):
        assert secret not in shown
