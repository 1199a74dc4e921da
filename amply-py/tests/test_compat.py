"""`amply_sdk.route_task` stands in for that of the published Python SDK 0.1.0, without a change in the user's code."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import amply_sdk
from amply_sdk import AmplyApiError, Sandbox


def test_the_signature_is_that_of_0_1_0() -> None:
    assert str(inspect.signature(amply_sdk.route_task)).split(" -> ")[0].replace("'", "") == (
        "(*, api_key: str, task: str, base_url: str = https://www.useamply.com, dimension: int | None = None, "
        "workload_type: str | None = None, filter_complexity: str | None = None, budget_usd: float | None = None, "
        "latency_target_ms: float | None = None)"
    )


def test_a_route_as_0_1_0_gave_it(sandbox: Sandbox) -> None:
    result = amply_sdk.route_task(
        api_key=sandbox.user_key,
        task="store 1M vectors",
        base_url=sandbox.url.removesuffix("/api/v1"),
        dimension=1536,
        workload_type="hybrid",
        budget_usd=0.5,
        latency_target_ms=100,
    )
    assert isinstance(result, dict) and result["recommended"] == "qdrant"
    [call] = sandbox.calls()
    assert call["body"] == '{"task": "store 1M vectors", "dimension": 1536, "workload_type": "hybrid", "budget_usd": 0.5, "latency_target_ms": 100}'
    assert dict(call["headers"])["authorization"] == f"Bearer {sandbox.user_key}"


@pytest.mark.parametrize("given", [{}, {"task": "x"}, {"api_key": "k"}, {"api_key": "", "task": "x"}, {"api_key": "k", "task": ""}])
def test_a_missing_key_or_task_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError):
        amply_sdk.route_task(**given)


def test_what_is_asked_is_left_to_the_server(sandbox: Sandbox) -> None:
    with pytest.raises(AmplyApiError) as caught:
        amply_sdk.route_task(api_key=sandbox.user_key, task="x", base_url=sandbox.url, dimension=-5)
    assert caught.value.status == 400
    assert "dimension" in str(caught.value.body)
    assert len(sandbox.calls()) == 1


def test_an_error_has_status_and_body(sandbox: Sandbox) -> None:
    with pytest.raises(AmplyApiError) as caught:
        amply_sdk.route_task(api_key="amply_sk_" + "0" * 32, task="x", base_url=sandbox.url)
    assert caught.value.status == 401 and isinstance(caught.value.body, dict)
    with pytest.raises(AmplyApiError) as caught:
        amply_sdk.route_task(api_key="k", task="x", base_url="http://127.0.0.1:9")
    assert caught.value.status == 0 and caught.value.body is None


def test_the_environment_is_not_read(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMPLY_API_KEY", "amply_sk_" + "0" * 32)
    monkeypatch.setenv("AMPLY_BASE_URL", "http://127.0.0.1:9")
    assert amply_sdk.route_task(api_key=sandbox.user_key, task="x", base_url=sandbox.url)["recommended"]
    with sandbox.client() as client:
        assert client.status().ok


def test_it_is_read_where_it_is_asked_for(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMPLY_API_KEY", sandbox.user_key)
    monkeypatch.setenv("AMPLY_BASE_URL", sandbox.url)
    with amply_sdk.Client.from_env() as client:
        assert client.key_kind == "user" and client.base_url == sandbox.url
    with amply_sdk.Client.from_env(api_key=sandbox.server_key, timeout=5) as client:
        assert client.key_kind == "server"
    monkeypatch.setenv("AMPLY_TIMEOUT", "soon")
    with pytest.raises(amply_sdk.ConfigError, match="AMPLY_TIMEOUT"):
        amply_sdk.Client.from_env()
