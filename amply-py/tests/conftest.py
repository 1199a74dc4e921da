"""A sandbox for each test, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Callable, TypeVar

import pytest

from amply_sdk import Client, Sandbox

T = TypeVar("T")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with sandbox.client() as client:
        yield client


@pytest.fixture
def broke() -> Iterator[Sandbox]:
    """A sandbox whose wallet covers no route."""
    with Sandbox(balance="0", strict_wallet=True) as sandbox:
        yield sandbox


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, T]], T]]:
    """Runs coroutines in one event loop."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()
