"""What cannot be right is a clear exception of Python: no traceback of Rust, no panic, no hang."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from amply_sdk import (
    AsyncClient, Client, ConfigError, Event, InvalidRequestError, PaymentFailedError, PaymentUnknownError, Receipt, Sandbox,
    SpendPolicy, TopUpRejected, TopUpRequest, TopUpService, X402,
)  # fmt: skip

NAN = float("nan")


async def observe_later(event: Event) -> None:
    raise AssertionError


@pytest.mark.parametrize("task", [b"store", None, 5, ["store"], 1.5])
def test_a_task_is_a_str(client: Client, sandbox: Sandbox, task: Any) -> None:
    with pytest.raises(TypeError, match="task must be a str, not "):
        client.route_task(task)
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "given, error, says",
    [
        ({"dimension": -1}, InvalidRequestError, "dimension is -1; it must be a whole number from 1 to 65536"),
        ({"dimension": 10**40}, InvalidRequestError, "it must be a whole number from 1 to 65536"),
        ({"dimension": 0}, InvalidRequestError, "dimension is 0"),
        ({"dimension": 1.0}, TypeError, "dimension must be a whole number, not float"),
        ({"dimension": True}, TypeError, "dimension must be a whole number, not bool"),
        ({"dimension": "7"}, TypeError, "dimension must be a whole number, not str"),
        ({"workload_type": "writes"}, InvalidRequestError, "workload_type is `writes`; it must be one of"),
        ({"workload_type": 3}, TypeError, "workload_type must be a str, not int"),
        ({"filter_complexity": "no"}, InvalidRequestError, "filter_complexity is `no`"),
        ({"budget_usd": NAN}, InvalidRequestError, "budget_usd is `NaN`"),
        ({"budget_usd": float("inf")}, InvalidRequestError, "budget_usd is `inf`"),
        ({"budget_usd": Decimal("NaN")}, InvalidRequestError, "budget_usd is `NaN`"),
        ({"budget_usd": -1}, InvalidRequestError, "budget_usd is -1 USD"),
        ({"budget_usd": "much"}, InvalidRequestError, "budget_usd is `much`"),
        ({"budget_usd": True}, TypeError, "budget_usd must be an amount in USD, not bool"),
        ({"budget_usd": []}, TypeError, "budget_usd must be an amount in USD"),
        ({"latency_target_ms": NAN}, InvalidRequestError, "latency_target_ms is NaN"),
        ({"latency_target_ms": "9"}, TypeError, "latency_target_ms must be a number, not str"),
        ({"slo_p99_ms": 0}, InvalidRequestError, "slo_p99_ms is 0"),
        ({"referral_tag": "a b"}, InvalidRequestError, "referral_tag holds"),
        ({"sandbox_mode": 1}, TypeError, "sandbox_mode must be True or False, not int"),
        ({"idempotency_key": "a\nb"}, InvalidRequestError, "idempotency_key holds a character"),
        ({"enterprise_policy": {"x": object()}}, TypeError, "not JSON serializable"),
        ({"enterprise_policy": {"x": NAN}}, ValueError, ""),
    ],
)
def test_a_hint_that_cannot_be_right_is_named(
    client: Client, sandbox: Sandbox, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        client.route_task("store", **given)
    assert says in str(caught.value)
    assert sandbox.calls() == []


def test_hints_are_taken_in_every_form_that_means_them(client: Client, sandbox: Sandbox) -> None:
    class Int:
        def __index__(self) -> int:
            return 768

    for budget in (0.1, "0.1", Decimal("0.1"), 1):
        client.route_task("store", budget_usd=budget, dimension=Int(), workload_type="query_heavy", slo_p99_ms=100)  # type: ignore[arg-type]
    sent = [call["body"] for call in sandbox.calls()]
    assert sent[0] == sent[1] == sent[2]
    assert '"budget_usd":0.1' in sent[0] and '"dimension":768' in sent[0]


@pytest.mark.parametrize("money", [0.1, 1.0, NAN])
def test_money_that_is_paid_is_no_float(money: float) -> None:
    for make in (
        lambda: SpendPolicy(per_day=money),  # type: ignore[arg-type]
        lambda: SpendPolicy(per_topup=money),  # type: ignore[arg-type]
        lambda: Receipt(money),  # type: ignore[arg-type]
        lambda: Sandbox(balance=money),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="is the float .* which cannot hold most amounts exactly"):
            make()


@pytest.mark.parametrize("money", ["", "five", "NaN", "1_000", "$5", Decimal("inf"), "1,5"])
def test_money_that_is_none_is_a_value_error(money: Any) -> None:
    with pytest.raises(ValueError, match="which is no amount in USD"):
        SpendPolicy(per_day=money)


@pytest.mark.parametrize(
    "settings, error, says",
    [
        ({"api_key": b"k"}, TypeError, "api_key must be a str, not bytes"),
        ({"api_key": "amply_sk_a\nb"}, ConfigError, "the API key holds a character that none has"),
        ({"base_url": 5}, TypeError, "base_url must be a str, not int"),
        ({"base_url": "http://example.com"}, ConfigError, ""),
        ({"principal": "maybe"}, ConfigError, "principal is `maybe`; it must be `require`, `warn` or `ignore`"),
        ({"timeout": 0}, ConfigError, "timeout is 0 s; it must be above 0"),
        ({"timeout": -1}, InvalidRequestError, "timeout is -1 s"),
        ({"timeout": NAN}, InvalidRequestError, "timeout is NaN s"),
        ({"timeout": "5"}, TypeError, "timeout must be a number of seconds or a timedelta, not str"),
        ({"max_attempts": 0}, ValueError, "max_attempts is 0; it must be 1 or more"),
        ({"max_attempts": 1.5}, TypeError, "max_attempts must be an int"),
        ({"report_queue": 0}, ValueError, "report_queue is 0; it must be 1 or more"),
        ({"outbox_limit": "9"}, TypeError, "outbox_limit must be an int, not str"),
        ({"spend": 5}, TypeError, "spend must be a SpendPolicy, not int"),
        ({"payer": 5}, TypeError, "payer must be a TopUpService, an AdminTopUp or a callable, not int"),
        ({"payer": print}, ConfigError, "a payer needs a spend policy"),
        ({"x402": "key"}, TypeError, "x402 must be an X402, not str"),
        ({"on_event": 5}, TypeError, "on_event must be a callable, not int"),
        ({"on_event": observe_later}, TypeError, "on_event is a coroutine function"),
        ({"pays_first": "me"}, ValueError, "pays_first is 'me'"),
        ({"ca_bundle": "/no/such/file.pem"}, ConfigError, "`/no/such/file.pem` cannot be read"),
        ({"payer": TopUpService("http://billing.example", token="hidden")}, ConfigError, "unencrypted"),
        ({"x402": X402(key="hidden", networks=["base"])}, ConfigError, "the signer's private key is not 64"),
        ({"x402": X402(key="1" * 64, networks=["mars"])}, ConfigError, "`mars` is not a network"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_setting_that_cannot_be_right_is_named_and_no_secret_shown(
    kind: Callable[..., object], settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    if settings.get("payer") is not print:
        settings = {"spend": SpendPolicy(per_day=1, per_request=1, per_process_only=True), **settings}
    with pytest.raises(error) as caught:
        kind(**settings)
    assert says in str(caught.value) and "hidden" not in str(caught.value)


def test_a_closed_client_says_so(sandbox: Sandbox, run: Callable[[Any], Any]) -> None:
    client = sandbox.client()
    copy = client.with_options(timeout=1)
    client.close()
    client.close()
    assert client.is_closed
    for closed in (client, copy):
        with pytest.raises(ConfigError, match="the client is closed; make a new one"):
            closed.status()
    aclient = AsyncClient(base_url=sandbox.url)

    async def use() -> None:
        await aclient.status()
        await aclient.close()
        await aclient.close()
        with pytest.raises(ConfigError, match="the client is closed"):
            await aclient.status()

    run(use())


def test_an_async_client_in_two_loops_that_run_is_told(sandbox: Sandbox) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    client = AsyncClient(base_url=sandbox.url)
    first.run_until_complete(client.status())
    running = threading.Thread(target=first.run_forever)
    running.start()
    while not first.is_running():
        time.sleep(0.001)
    with pytest.raises(ConfigError, match="used in another event loop that still runs"):
        second.run_until_complete(client.status())
    first.call_soon_threadsafe(first.stop)
    running.join()
    first.close()
    # A loop that is over lets it go.
    assert second.run_until_complete(client.status()).ok
    second.run_until_complete(client.close())
    second.close()


def test_an_async_client_needs_a_loop(sandbox: Sandbox) -> None:
    call = AsyncClient(base_url=sandbox.url).status()
    with pytest.raises(RuntimeError, match="no running event loop"):
        call.send(None)


def test_a_coroutine_that_nobody_awaits_sends_nothing(sandbox: Sandbox) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        AsyncClient(base_url=sandbox.url).status()
        gc.collect()
    assert "was never awaited" in str(caught[0].message)
    assert sandbox.calls() == []


def test_a_client_is_not_pickled(client: Client) -> None:
    import pickle

    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client)


@pytest.mark.parametrize("path", ["https://example.com/x", "//example.com/x", "/../x"])
def test_a_path_that_leads_elsewhere_is_refused(client: Client, sandbox: Sandbox, path: str) -> None:
    with pytest.raises(InvalidRequestError):
        client.request("GET", path)
    assert sandbox.calls() == []


@pytest.mark.parametrize("method", ["", "GE T", "CONNECT"])
def test_a_method_that_is_none_is_refused(client: Client, method: str) -> None:
    with pytest.raises(InvalidRequestError):
        client.request(method, "/status")


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        client.request("POST", "/route", {"task": object()})
    with pytest.raises(ValueError):
        client.request("POST", "/route", {"task": NAN})


def raises(request: TopUpRequest) -> Receipt:
    raise RuntimeError("a secret")


async def raises_later(request: TopUpRequest) -> Receipt:
    raise RuntimeError("a secret")


NEITHER_YES_NOR_NO: list[tuple[Any, str]] = [
    (raises, "the payer raised RuntimeError"),
    (raises_later, "the payer raised RuntimeError"),
    (lambda request: None, "the payer returned NoneType, which is no Receipt"),
    (lambda request: {"credited_usd": "1"}, "the payer returned dict"),
    (lambda request: Receipt("0"), "no amount above 0"),
    (lambda request: Receipt("-1"), "no amount above 0"),
    (lambda: None, "the payer raised TypeError"),
]


def test_a_payer_that_does_not_clearly_say_yes_or_no_leaves_the_payment_unknown() -> None:
    def check(case: tuple[Any, str]) -> None:
        payer, says = case
        with Sandbox(balance="0", strict_wallet=True) as broke, broke.paying_client(per_day="1", payer=payer) as client:
            with pytest.raises(PaymentUnknownError) as caught:
                client.route_task("store")
            assert caught.value.may_have_been_charged and caught.value.payment_id
            [payment] = client.payments.list()
            assert payment.state == "unknown" and says in str(payment.reason)
            assert "secret" not in str(caught.value) + str(dict(payment))
            # Nobody pays for this wallet until that is known.
            with pytest.raises(PaymentUnknownError):
                client.route_task("store")
            assert len(client.payments.list()) == 1
            assert client.payments.resolve(payment.id, "rejected").verdict == "rejected"

    # Each waits for a credit that does not come, so they wait together.
    with ThreadPoolExecutor(len(NEITHER_YES_NOR_NO)) as threads:
        list(threads.map(check, NEITHER_YES_NOR_NO))


def test_a_payer_that_says_no_is_a_failed_payment(broke: Sandbox) -> None:
    def no(request: TopUpRequest) -> Receipt:
        raise TopUpRejected("the card is expired")

    with broke.paying_client(per_day="1", payer=no) as client:
        with pytest.raises(PaymentFailedError, match="the card is expired"):
            client.route_task("store")


def test_a_payer_that_sleeps_for_ever_ends_at_its_limit(broke: Sandbox) -> None:
    import threading

    never = threading.Event()
    with broke.paying_client(per_day="1", payer=lambda request: never.wait(), payer_timeout=0.2) as client:
        with pytest.raises(PaymentUnknownError):
            client.route_task("store")
    never.set()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_from_env_takes_the_settings_of_the_client_and_no_others(kind: Any) -> None:
    with pytest.raises(TypeError, match="tiemout"):
        kind.from_env(tiemout=3)
    ours, those = (inspect.signature(of).parameters for of in (kind.from_env, kind))
    assert ours == those
    assert kind.from_env(base_url="http://127.0.0.1:9").base_url == "http://127.0.0.1:9/api/v1"


def test_a_subclass_keeps_what_it_added_in_its_copies() -> None:
    class Mine(Client):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.tag = "mine"

    assert Mine(base_url="http://127.0.0.1:9").with_options(timeout=3).tag == "mine"


@pytest.mark.parametrize(
    "secret", [TopUpService("https://billing.example.com/topup", token="secret"), X402(key="59" * 32, networks=["base"])]
)
def test_what_holds_a_secret_is_not_pickled(secret: object) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(secret, protocol)


@pytest.mark.parametrize("amount", ["1e9999999", "-1e9999999", "0e9999999", "1e-9999999", "1e41"])
def test_an_amount_beyond_all_money_is_refused_before_it_is_written_out(amount: str) -> None:
    with pytest.raises(ValueError, match="no amount in USD"):
        SpendPolicy(per_day=amount)
