"""From nothing to a key: the manifest, the signup, and that a secret of it is nowhere but where it was asked for."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from amply_sdk import (
    AmplyApiError, AsyncClient, AuthenticationError, Client, InvalidRequestError, NewAccount, PermissionDeniedError,
    ProtocolError, Sandbox, UnsupportedError,
)  # fmt: skip

TERMS = "2026-11-01"
TOKEN = "hidden-token-1"
KEY = "amply_sk_Ab3_-xYzAb3_-xYzAb3_-xYzAb3_-xYz"


@pytest.fixture
def taking() -> Iterator[Sandbox]:
    with Sandbox(agent_signup=True) as sandbox:
        yield sandbox


@pytest.fixture
def guarded() -> Iterator[Sandbox]:
    with Sandbox(agent_signup=True, agent_signup_secret=TOKEN) as sandbox:
        yield sandbox


def nobody(sandbox: Sandbox) -> Client:
    return Client(base_url=sandbox.url)


def paths(sandbox: Sandbox) -> list[str]:
    return [call["path"].removeprefix("/api/v1") for call in sandbox.calls()]


def test_the_manifest_is_a_dict_with_typed_attributes(taking: Sandbox) -> None:
    manifest = nobody(taking).agent()
    ids = [step.id for step in manifest.steps]
    assert ids == ["discover", "health", "schema", "credential", "catalog", "route", "outcome", "audit"]
    credential = manifest.next_step(ids[:3])
    assert credential is not None
    assert (credential.id, credential.method, credential.path) == ("credential", "POST", "/api/v1/signup/agent")
    assert manifest.next_step(ids) is None and manifest.next_step() == manifest.steps[0]
    with pytest.raises(TypeError, match="a list of the ids"):
        manifest.next_step("discover")
    policy, signup, x402 = manifest.principal_binding_policy, manifest.agent_signup, manifest.x402
    assert policy is not None and signup is not None and x402 is not None
    assert policy.summary and policy.check_response_headers[0] == "X-Amply-Principal-Bound"
    assert (policy.recommended_machine_flow[0].step, policy.recommended_machine_flow[0].method) == (1, "POST")
    assert (signup.enabled, signup.tos_version, signup.tos_url) == (True, TERMS, None)
    assert x402.spec == "amply.x402/1" and manifest["workflow"]["steps"][0]["id"] == "discover"
    twin = pickle.loads(pickle.dumps(manifest))
    assert twin == manifest and [step.id for step in twin.steps] == ids


@pytest.mark.parametrize(
    "workflow, says",
    [
        ({"steps": [{"id": "route", "path": "https://evil.example/route"}]}, "leads to `https://evil.example`"),
        ({"steps": [{"id": "a", "after": "b"}, {"id": "b", "after": "a"}]}, "the step `a` waits for itself: `a` after `b` after `a`"),
        ({"steps": []}, "it has no steps"),
    ],
)  # fmt: skip
def test_a_manifest_that_leads_elsewhere_is_refused(taking: Sandbox, workflow: dict[str, Any], says: str) -> None:
    body = {"ok": True, "workflow": workflow}
    taking.fault({"status": {"status": 200, "body": body}}, path="/agent")
    with pytest.raises(ProtocolError) as caught:
        nobody(taking).agent()
    assert says in str(caught.value) and caught.value.body == body


def test_a_signup_gives_a_key_that_binds_and_nothing_but_the_key_shows_it(taking: Sandbox) -> None:
    account = nobody(taking).signup(TERMS)
    key = account.api_key
    with Client(api_key=key, base_url=taking.url) as client:
        principal = client.route_task("store 1M vectors").principal
        assert principal is not None and principal.is_bound
    assert account.principal_id and account.tos_version == TERMS and account.meta.status == 201
    assert account.quickstart["route_url"] == f"{taking.url}/route"
    assert account.exposed["api_key"] == key and account.exposed["principal_id"] == account.principal_id
    seen = f"{account} {account!r} {dict(account)} {json.dumps(account)} {account.meta}"
    assert key not in seen and "amply_sk_" not in seen
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(account)
    for twin in (account.copy(), copy.copy(account), copy.deepcopy(account)):
        assert twin == account and twin.api_key == key and type(twin) is NewAccount
    with pytest.raises(AttributeError, match="came from no signup"):
        NewAccount(account).api_key


def test_asyncio_signs_up_as_well(taking: Sandbox) -> None:
    async def main() -> tuple[str, str | None]:
        async with AsyncClient(base_url=taking.url) as client:
            step = (await client.agent()).next_step(["discover"])
            return (await client.signup(TERMS)).api_key, step and step.id

    key, step = asyncio.run(main())
    assert key.startswith("amply_sk_") and step == "health"


def test_what_cannot_be_signed_up_for_is_refused_before_anything_is_accepted(taking: Sandbox, guarded: Sandbox) -> None:
    with pytest.raises(InvalidRequestError, match="which are `2026-11-01`") as caught:
        nobody(taking).signup("2025-01-01")
    assert caught.value.field == "accept_tos_version"
    with pytest.raises(InvalidRequestError, match="AMPLY_SIGNUP_TOKEN"):
        nobody(guarded).signup(TERMS)
    for token in ("", "hid den", "hid\nden"):
        with pytest.raises(InvalidRequestError) as caught:
            nobody(guarded).signup(TERMS, token=token)
        assert caught.value.field == "token" and "hid" not in str(caught.value)
    for wrong in (b"hidden", 5):
        with pytest.raises(TypeError, match="token is of type"):
            nobody(guarded).signup(TERMS, token=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        nobody(guarded).signup(20261101)  # type: ignore[arg-type]
    assert set(paths(taking) + paths(guarded)) == {"/status"}
    with Sandbox() as off, pytest.raises(PermissionDeniedError, match="make a key at http://127.0.0.1"):
        nobody(off).signup(TERMS)
    with Sandbox(release="3.1.12") as old:
        assert nobody(old).status().agent_signup is None
        with pytest.raises(UnsupportedError, match="make a key at"):
            nobody(old).signup(TERMS)


def test_the_token_is_asked_for(guarded: Sandbox) -> None:
    with pytest.raises(AuthenticationError, match="the token is not the one"):
        nobody(guarded).signup(TERMS, token="wrong")
    assert nobody(guarded).signup(TERMS, token=TOKEN).api_key


def test_a_key_that_cannot_be_found_is_sealed_and_not_lost(taking: Sandbox) -> None:
    taking.fault({"status": {"status": 201, "body": {"key": KEY}}}, path="/signup/agent")
    with pytest.raises(ProtocolError) as caught:
        nobody(taking).signup(TERMS)
    error = caught.value
    assert error.body is None and error.sealed_body is not None
    assert KEY in error.sealed_body.expose()
    seen = "".join(traceback.format_exception(error)) + repr(error) + repr(error.__dict__)
    assert KEY not in seen
    dumped = pickle.dumps(error)
    assert KEY.encode() not in dumped
    twin = pickle.loads(dumped)
    with pytest.raises(ValueError, match="left behind"):
        twin.sealed_body.expose()


def test_neither_key_nor_token_is_in_a_log_or_an_error(guarded: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, logger="amply_sdk")
    account = nobody(guarded).signup(TERMS, token=TOKEN)
    said = {"detail": f"{TOKEN} made {KEY}", "error": TOKEN, "api_key": KEY}
    guarded.fault({"status": {"status": 400, "body": said}}, path="/signup/agent")
    with pytest.raises(AmplyApiError) as caught:
        nobody(guarded).signup(TERMS, token=TOKEN)
    seen = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert "[secret] made [secret]" in seen and "/signup/agent" in caplog.text
    for secret in (TOKEN, KEY, account.api_key):
        assert secret not in seen
