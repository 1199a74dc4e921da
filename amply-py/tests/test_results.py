"""Answers are dicts, as people expect them, with typed attributes on top."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta, timezone
from decimal import Decimal

import pytest

from amply_sdk import Client, Item, Meta, Route, Status


@pytest.fixture
def route(client: Client) -> Route:
    return client.route_task("store 1M 1536-dim vectors")


def test_a_route_is_exactly_the_json_of_the_server(route: Route) -> None:
    assert isinstance(route, dict)
    assert route["recommended"] == "qdrant"
    assert route.get("why") and route.get("nothing") is None
    assert json.loads(json.dumps(route)) == route
    assert {**route} == route == dict(route)


def test_a_route_is_pickled_and_copied_with_all_that_is_known(route: Route) -> None:
    for twin in (pickle.loads(pickle.dumps(route)), copy.copy(route), copy.deepcopy(route), route.copy()):
        assert type(twin) is Route and twin == route and twin is not route
        assert twin.meta == route.meta
        assert twin.principal == route.principal
        assert twin.rankings == route.rankings
        assert list(twin) == list(route)
    twin = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(route))))
    assert twin.meta == route.meta
    deep = copy.deepcopy(route)
    deep["raw_metrics"]["new"] = 1
    assert "new" not in route["raw_metrics"]


def test_typed_attributes_are_read_from_the_dict(route: Route) -> None:
    assert route.recommended == "qdrant"
    assert route.estimated_cost_usd == Decimal("0.00475")
    assert route.expected_p99_latency_ms == 14
    assert route.route_id == route["request_id"] == route.meta.request_id
    assert [place.rank for place in route.rankings] == [1, 2, 3, 4, 5]
    assert route.rankings[0].cost_per_1m_dims_usd == Decimal("0.19")
    assert route.ruled_out == []
    explained = route.why_text
    assert explained and explained.startswith("Top composite score")
    assert route.principal is not None and route.principal.is_bound
    route["estimated_cost_usd"] = "5.10"
    assert route.estimated_cost_usd == Decimal("5.10")


def test_what_is_known_of_the_call(route: Route) -> None:
    meta = route.meta
    assert (meta.status, meta.attempts, meta.key_kind, meta.paid_usd, meta.payment_id) == (200, 1, "user", None, None)
    assert timedelta() < meta.elapsed < timedelta(seconds=30)
    assert meta.headers["x-amply-principal-bound"] == "1"


def test_a_person_can_read_a_route(route: Route) -> None:
    shown = repr(route)
    assert shown.startswith("Route(recommended='qdrant', score=0.8901, estimated_cost_usd=0.00475,")
    assert len(shown) < 250
    assert repr(route.meta).startswith("Meta(status=200, attempts=1, request_id='")


def test_a_route_may_be_made_by_hand_for_a_test_of_ones_own() -> None:
    route = Route({"recommended": "qdrant", "estimated_cost_usd": 0.1, "raw_metrics": {"all_providers": {}}})
    assert route.estimated_cost_usd == Decimal("0.1")
    assert route.rankings == [] and route.principal is None
    with pytest.raises(AttributeError, match="came from no call"):
        route.meta
    assert not hasattr(route, "meta")


def test_times_are_in_utc(client: Client) -> None:
    probed = client.health().providers[0].last_probe_at
    assert probed is not None and probed.tzinfo is timezone.utc
    odd = Status({"last_benchmark_at": "2026-01-01T02:00:00.123456789+01:00"}).last_benchmark_at
    assert odd is not None and odd.isoformat() == "2026-01-01T01:00:00.123456+00:00"
    assert Status({"last_benchmark_at": "2026-01-01T02:00:00.5Z"}).last_benchmark_at is not None
    assert Status({"last_benchmark_at": "soon"}).last_benchmark_at is None


@pytest.mark.parametrize(
    "value, cost, latency",
    [
        ("14", Decimal(14), 14.0),
        (14, Decimal(14), 14.0),
        (" 1.4e1 ", Decimal("14"), 14.0),
        (0.1, Decimal("0.1"), 0.1),
        (float("inf"), None, None),
        ("NaN", None, None),
        ("", None, None),
        (True, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_a_value_of_another_type_is_none_and_never_an_error(
    value: object, cost: Decimal | None, latency: float | None
) -> None:
    route = Route({"recommended": "x", "estimated_cost_usd": value, "expected_p99_latency_ms": value})
    assert (route.estimated_cost_usd, route.expected_p99_latency_ms) == (cost, latency)


def test_each_endpoint_gives_its_own_class(client: Client) -> None:
    kinds = {name: type(getattr(client, name)()).__name__ for name in (
        "status", "providers", "health", "openapi", "platform_metrics", "billing_status",
    )}  # fmt: skip
    assert kinds == {
        "status": "Status", "providers": "Providers", "health": "Health", "openapi": "OpenApi",
        "platform_metrics": "PlatformMetrics", "billing_status": "BillingStatus",
    }  # fmt: skip
    provider = client.providers().providers[0]
    assert isinstance(provider, Item) and type(provider.copy()) is type(provider)
    assert pickle.loads(pickle.dumps(provider)) == provider


def test_a_meta_is_compared_by_what_it_says(client: Client) -> None:
    status = client.status()
    assert status.meta == pickle.loads(pickle.dumps(status.meta))
    assert status.meta != client.status().meta
    with pytest.raises(TypeError):
        hash(status.meta)
    assert isinstance(status.meta, Meta)
