"""Credentials, executions and what was saved: the same as in Rust, in the ways of Python."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest

from amply_sdk import (
    AsyncClient, BadRequestError, Client, Execution, InternalServerError, InvalidRequestError, NotFoundError,
    PaymentRequiredError, PermissionDeniedError, PrincipalNotBoundError, Route, Sandbox, SavingsReport, Target,
)  # fmt: skip

Run = Callable[[Coroutine[Any, Any, Any]], Any]
URL = "https://worker.example/run"
SECRET = 'pa"ss/wörd-0815'


def test_a_report_is_the_servers_dict_with_exact_amounts(client: Client, sandbox: Sandbox) -> None:
    client.route_task("store 1M vectors")
    report = client.savings_report()
    assert isinstance(report, SavingsReport) and report["period"] == report.period == "30d"
    assert (report.totals.routes, report.totals.charged_usd) == (1, Decimal("0.01"))
    assert report.began_at and report.ended_at and (report.ended_at - report.began_at).days == 30
    assert report.summary and report.summary.startswith("Amply saved your agent fleet $")
    with sandbox.client(api_key=sandbox.server_key) as operator, pytest.raises(PermissionDeniedError):
        operator.savings_report("90d")


@pytest.mark.parametrize("period, error", [("7d", InvalidRequestError), ("", InvalidRequestError), (30, TypeError)])
def test_another_period_is_refused_with_the_right_ones(client: Client, sandbox: Sandbox, period: Any, error: Any) -> None:
    with pytest.raises(error, match="period") as raised:
        client.savings_report(period)
    assert error is TypeError or "one of `30d`, `90d`" in str(raised.value)
    assert sandbox.calls() == []


def test_a_credential_comes_and_goes_without_its_secret(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        added = client.credentials.add("qdrant", SECRET, label="staging")
        listed = client.credentials.list()
        executed = client.execute("store", credential_ref=added.id, input={"rows": 3})
        removed = client.credentials.remove(added.id or "")
    assert added.meta.status == 201 and listed.credentials == [added.credential]
    assert (added.credential.provider_id, added.credential.label) == ("qdrant", "staging")
    assert added.credential.created_at and added.credential.last_used_at is None
    assert (executed.credential_ref, executed.output) == (added.id, {"rows": 3})
    assert (removed.id, removed.deleted, client.credentials.list().credentials) == (added.id, True, [])
    shown = f"{added!r}{listed!r}{removed!r}{dict(added)}{caplog.text}"
    assert "POST http" in caplog.text and "0815" not in shown


@pytest.mark.parametrize("id", ["", ".", "..", "../providers", "a/b", "a\nb", "a b", "\0"])
def test_what_can_be_no_id_is_never_sent(client: Client, sandbox: Sandbox, id: str) -> None:
    with pytest.raises(InvalidRequestError, match="^id is `"):
        client.credentials.remove(id)
    with pytest.raises(InvalidRequestError, match="^credential_ref is `"):
        client.execute("store", credential_ref=id)
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    "args, label, error, says",
    [
        (("qdrant", ""), None, InvalidRequestError, "the secret is empty"),
        (("qdrant", "x" * 8193), None, InvalidRequestError, "8193 bytes"),
        (("qdrant", "hidden\udc00"), None, InvalidRequestError, "half of a surrogate pair"),
        (("qdrant", b"hidden"), None, TypeError, "secret must be a str, not bytes"),
        (("qdrant", None), None, TypeError, "secret must be a str, not NoneType"),
        (("", "hidden"), None, InvalidRequestError, "provider_id is ``"),
        ((5, "hidden"), None, TypeError, "provider_id must be a str"),
        (("qdrant", "hidden"), "two\nlines", InvalidRequestError, "label is `two lines`"),
        (("qdrant", "hidden"), 5, TypeError, "label must be a str"),
    ],
)
def test_a_credential_that_can_be_none_is_refused(
    client: Client, sandbox: Sandbox, args: tuple[Any, Any], label: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        client.credentials.add(*args, label=label)
    assert "hidden" not in str(raised.value)
    assert sandbox.calls() == []


def test_a_server_that_repeats_the_secret_gets_it_into_no_exception(client: Client, sandbox: Sandbox) -> None:
    with pytest.raises(BadRequestError):
        client.credentials.add("no-such-provider", SECRET)
    body = {"detail": f"no {SECRET}", "input": {"secret": SECRET}}
    sandbox.fault({"status": {"status": 400, "body": body}}, path="/credentials")
    with pytest.raises(BadRequestError) as raised:
        client.credentials.add("qdrant", SECRET)
    said = f"{raised.value!r}{raised.value}{raised.value.body}{pickle.dumps(raised.value)!r}"
    assert "[secret]" in said and "0815" not in said


def test_a_removal_whose_answer_was_lost_has_happened(client: Client, sandbox: Sandbox) -> None:
    id = client.credentials.add("qdrant", SECRET).id or ""
    sandbox.fault("reset_before_headers", path=f"/credentials/{id}", calls={"nth": 1}, effect="after")
    removed = client.credentials.remove(id)
    assert removed == {} and removed.deleted is None
    with pytest.raises(NotFoundError, match="list the credentials"):
        client.credentials.remove(id)


def test_an_execution_is_a_route_with_what_came_out(client: Client, run: Run, sandbox: Sandbox) -> None:
    target = Target(URL, headers={"Authorization": "Bearer hidden-0815"})
    execution = client.execute("store 1M vectors", target=target, input=[1, 2.5], dimension=1536)
    assert isinstance(execution, Route) and isinstance(execution, Execution)
    assert execution.rankings == client.route_task("store 1M vectors", dimension=1536).rankings
    assert (execution.succeeded, execution.mode, execution.target_url) == (True, "byo_runtime", URL)
    assert execution.output == [1, 2.5] and execution.provider_id == execution.recommended
    assert execution.principal and execution.principal.is_bound and execution.execution_id
    assert pickle.loads(pickle.dumps(execution)) == execution
    assert "0815" not in f"{target!r}{execution!r}"

    async def later() -> Execution:
        async with AsyncClient(api_key=sandbox.user_key, base_url=sandbox.url) as aclient:
            added = await aclient.credentials.add("qdrant", SECRET)
            return await aclient.execute("store", credential_ref=added.id)

    assert run(later()).mode == "vault_ref"


def test_an_input_is_sent_to_the_digit(client: Client, sandbox: Sandbox) -> None:
    client.execute("store 1M vectors", target=URL, input={"id": 12345678901234567890123})
    assert '"input":{"id": 12345678901234567890123}' in sandbox.calls()[-1]["body"]


@pytest.mark.parametrize(
    "given, error, says",
    [
        ({}, TypeError, "give either credential_ref"),
        ({"credential_ref": "cred_a", "target": URL}, TypeError, "give either credential_ref"),
        ({"target": 5}, TypeError, "target must be a str or a Target, not int"),
        ({"credential_ref": 5}, TypeError, "credential_ref must be a str, not int"),
        ({"target": "ftp://worker.example"}, InvalidRequestError, "neither https nor http"),
        ({"target": "https://user:hidden@worker.example"}, InvalidRequestError, "credentials in it"),
        ({"target": Target(URL, headers={"a b": "hidden"})}, InvalidRequestError, "has a name that none may have"),
        ({"target": Target(URL, headers={"a": "hid\nden"})}, InvalidRequestError, "a value that cannot be sent"),
        ({"target": URL, "input": object()}, TypeError, "not JSON serializable"),
        ({"target": URL, "input": float("nan")}, ValueError, "not JSON compliant"),
        ({"target": URL, "dimension": 0}, InvalidRequestError, "dimension is 0"),
    ],
)
def test_an_execution_that_cannot_be_right_is_never_sent(
    client: Client, sandbox: Sandbox, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        client.execute("store", **given)
    assert "hid" not in str(raised.value)
    assert sandbox.calls() == []


def test_a_target_is_made_of_texts() -> None:
    for given in [{"url": 5}, {"url": URL, "headers": {"a": 5}}]:
        with pytest.raises(TypeError):
            Target(**given)  # type: ignore[arg-type]
    assert repr(Target("https://u:hidden@worker.example")) == "Target('(not shown)', headers=[])"


def test_an_execution_is_paid_for_once_and_never_sent_again_when_unknown(broke: Sandbox, sandbox: Sandbox) -> None:
    with broke.client() as unpaid, pytest.raises(PaymentRequiredError) as raised:
        unpaid.execute("store", target=URL)
    assert raised.value.challenge and raised.value.challenge.shortfall_usd == Decimal("0.01")
    with broke.paying_client(per_day="1") as payer:
        execution = payer.execute("store", target=URL, input="in")
        assert (execution.output, execution.meta.paid_usd, execution.meta.attempts) == ("in", Decimal("0.01"), 2)
    sandbox.fault({"status": {"status": 502}}, path="/route/execute", effect="after")
    with sandbox.client(repeat_ambiguous=True) as eager, pytest.raises(InternalServerError) as lost:
        eager.execute("store", target=URL)
    assert lost.value.may_have_been_charged and len(sandbox.calls()) == 1


def test_what_came_out_is_inside_the_error_of_a_principal_that_is_missing(sandbox: Sandbox) -> None:
    body = {"recommended": "qdrant", "integration": {"principal_attached": False}, "execution": {"output": {"rows": 3}}}
    sandbox.fault({"status": {"status": 200, "body": body}}, path="/route/execute")
    with sandbox.client(principal="require") as client, pytest.raises(PrincipalNotBoundError) as raised:
        client.execute("store", target=URL)
    assert raised.value.answer is not None and raised.value.answer["execution"] == {"output": {"rows": 3}}
    assert Execution(raised.value.answer).output == {"rows": 3}
