"""Every error is a class with fields, and can be pickled."""

from __future__ import annotations

import inspect
import pickle

import pytest

import amply_sdk
from amply_sdk import (
    AmplyApiError, AmplyError, APIConnectionError, APITimeoutError, AuthenticationError, BadRequestError, Client, ConfigError,
    InternalServerError, InvalidRequestError, NotFoundError, PaymentError, PaymentRequiredError, PermissionDeniedError,
    PrincipalNotBoundError, RateLimitError, Sandbox, SpendPolicy, UnsupportedError,
)  # fmt: skip

CLASSES = [
    found for found in vars(amply_sdk).values() if inspect.isclass(found) and issubclass(found, AmplyError)
]


def raised(call: object, kind: type[AmplyApiError]) -> AmplyApiError:
    assert callable(call)
    with pytest.raises(AmplyApiError) as caught:
        call()
    error = caught.value
    assert type(error) is kind, repr(error)
    twin = pickle.loads(pickle.dumps(error))
    assert twin == error and type(twin) is kind and str(twin) == str(error) and twin is not error
    return error


def test_the_tree_is_that_of_the_documentation() -> None:
    assert len(CLASSES) == 24
    for kind in CLASSES:
        assert kind in (AmplyError, AmplyApiError) or issubclass(kind, AmplyApiError)
    assert issubclass(InvalidRequestError, ValueError)
    assert issubclass(APITimeoutError, TimeoutError) and issubclass(APITimeoutError, APIConnectionError)
    codes = [kind.code for kind in CLASSES if issubclass(kind, AmplyApiError) and kind not in (AmplyApiError, PaymentError)]
    assert len(set(codes)) == len(codes) == 21


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if issubclass(kind, AmplyApiError)])
def test_each_class_pickles_with_every_field_it_has(kind: type[AmplyApiError]) -> None:
    fields = {"status": 418, "body": {"detail": "no"}, "request_id": "r1", "retry_after": 1.5, "may_have_been_charged": True}
    error = kind("what happened", **fields)
    twin = pickle.loads(pickle.dumps(error))
    assert twin == error and type(twin) is kind and hash(twin) == hash(error)
    assert {name: getattr(twin, name) for name in fields} == fields
    assert error != kind("what happened", **{**fields, "status": 419})
    with pytest.raises(TypeError, match="has no field `color`"):
        kind("x", color="red")


def test_the_server_refuses(sandbox: Sandbox) -> None:
    with sandbox.client(principal="ignore") as client:
        error = raised(lambda: client.request("POST", "/route", {"task": ""}), BadRequestError)
        assert error.status == 400 and error.body["detail"] and error.request_id and error.attempts == 1
        assert not error.may_have_been_charged and not error.is_retryable
        assert error.request_id in str(error)


def test_the_key_is_wrong(sandbox: Sandbox) -> None:
    with sandbox.client(api_key="amply_sk_" + "x" * 32) as client:
        assert raised(lambda: client.route_task("store"), AuthenticationError).status == 401


def test_nobody_may_pay(broke: Sandbox) -> None:
    with broke.client() as client:
        error = raised(lambda: client.route_task("store"), PaymentRequiredError)
        assert error.status == 402 and error.server_code == "insufficient_balance"
        assert error.challenge is not None
        assert str(error.challenge.shortfall_usd) == "0.01" and error.challenge.refusals == []
        assert error.hint and "top up the wallet" in error.hint


def test_the_key_may_not() -> None:
    with Sandbox(require_principal=True) as sandbox, sandbox.client(api_key=sandbox.server_key) as client:
        assert raised(lambda: client.route_task("store"), PermissionDeniedError).status == 403


def test_the_server_lacks_it(client: Client) -> None:
    assert raised(lambda: client.request("GET", "/nothing"), UnsupportedError).status == 404
    missing = lambda: client.request("GET", "/route/audit?request_id=nothing")  # noqa: E731
    assert raised(missing, NotFoundError).status == 404


def test_too_many_requests() -> None:
    with Sandbox(rate_limit=1) as sandbox, sandbox.client(max_attempts=1) as client:
        client.route_task("store")
        error = raised(lambda: client.route_task("store"), RateLimitError)
        assert error.code == "rate_limited" and error.retry_after is not None and error.retry_after > 0
    with Sandbox(daily_quota=1) as sandbox, sandbox.client() as client:
        client.route_task("store")
        assert raised(lambda: client.route_task("store"), RateLimitError).code == "quota_exceeded"


def test_the_server_fails_after_it_may_have_charged(sandbox: Sandbox, client: Client) -> None:
    sandbox.fault({"status": {"status": 503}}, path="/route", effect="after")
    error = raised(lambda: client.route_task("store"), InternalServerError)
    assert error.status == 503 and error.may_have_been_charged and error.attempts == 1


def test_nobody_answers() -> None:
    client = Client(base_url="http://127.0.0.1:9", max_attempts=1)
    error = raised(client.status, APIConnectionError)
    assert (error.status, error.body, error.request_id) == (0, None, None)


def test_the_answer_takes_too_long(sandbox: Sandbox, client: Client) -> None:
    sandbox.fault({"delay": {"ms": 10_000}}, path="/status")
    error = raised(lambda: client.with_options(timeout=0.1).status(), APITimeoutError)
    assert isinstance(error, TimeoutError) and error.status == 0


def test_an_answer_that_binds_nobody_is_in_the_error(sandbox: Sandbox) -> None:
    with Sandbox(release="3.1.12") as older, older.client(principal="require") as client:
        error = raised(lambda: client.route_task("store"), PrincipalNotBoundError)
        assert isinstance(error, PrincipalNotBoundError) and error.binding == "unknown"
        assert error.answer is not None and error.answer.recommended == "qdrant"
        assert error.answer.meta.status == 200
    with sandbox.client(api_key=None, principal="require") as client:
        error = raised(lambda: client.route_task("store"), PrincipalNotBoundError)
        assert error.answer is None and error.status == 0


def test_a_client_that_cannot_be_right_is_told_at_once() -> None:
    error = raised(lambda: Client(base_url="ftp://x"), ConfigError)
    assert isinstance(error, AmplyError)
    for policy, says in ((SpendPolicy(per_topup=1), "per_day"), (SpendPolicy(per_day=1), "store")):
        assert says in str(raised(lambda: Client(spend=policy), ConfigError))
