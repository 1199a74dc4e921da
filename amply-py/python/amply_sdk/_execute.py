"""A route and its execution in one call."""

from __future__ import annotations

from . import _read
from ._route import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Target:
    """Where a task is executed: a URL of your own, which the server calls, and headers that it sends there.

    Args:
        url: https or http, without credentials in it.
        headers: Names and values. A value is never shown.

    Example:
        >>> from amply_sdk import Target
        >>> Target("https://worker.example/run", headers={"authorization": "Bearer token"})
        Target('https://worker.example/run', headers=['authorization'])
    """

    __slots__ = ("_headers", "_url")

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None) -> None:
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, not {type(url).__name__}")
        self._url = url
        self._headers = list((headers or {}).items())
        for name, value in self._headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("names and values of headers must be str")

    @property
    def url(self) -> str:
        """The URL, as it was given."""
        return self._url

    def __repr__(self) -> str:
        # A query may have a token in it, and what is before an `@` a password.
        url = self._url.partition("?")[0].partition("#")[0]
        url = "(not shown)" if "@" in url else url
        return f"Target({url!r}, headers={[name for name, _ in self._headers]})"


class Execution(Route):
    """A route and what came of its execution: the dict is the route's, with `execution` in it.

    An execution that failed is an answer, not an error: the route was made and may have been charged. See `succeeded`.

    Example:
        >>> execution = client.execute("store 1M vectors", target="https://worker.example/run", input={"rows": 3})
        >>> execution.recommended, execution.succeeded, execution.output
        ('qdrant', True, {'rows': 3})
    """

    __slots__ = ()
    _shown = ("recommended", "score", "estimated_cost_usd", "request_id", "execution")

    @property
    def execution(self) -> dict[str, Any]:
        """What came of the execution, as the server has it; empty where the answer has none."""
        found = self.get("execution")
        return found if isinstance(found, dict) else {}

    @property
    def succeeded(self) -> bool:
        """Whether the server says that the execution succeeded."""
        return self.status == "succeeded"

    @property
    def status(self) -> str | None:
        """How it ended: `succeeded`, `failed`, or another word of the server."""
        return _read.text(self.execution.get("status"))

    @property
    def output(self) -> Any:
        """What came out of it; None where nothing did."""
        return self.execution.get("output")

    @property
    def error_code(self) -> str | None:
        """The kind of failure, where it failed."""
        return _read.text(self.execution.get("error_code"))

    @property
    def mode(self) -> str | None:
        """What it was asked to use: `vault_ref` or `byo_runtime`."""
        return _read.text(self.execution.get("mode"))

    @property
    def provider_id(self) -> str | None:
        """Who executed it."""
        return _read.text(self.execution.get("provider_id"))

    @property
    def execution_id(self) -> str | None:
        """The execution's own id."""
        return _read.text(self.execution.get("execution_id"))

    @property
    def credential_ref(self) -> str | None:
        """The stored credential that was used."""
        return _read.text(self.execution.get("credential_ref"))

    @property
    def target_url(self) -> str | None:
        """The target that was used."""
        return _read.text(self.execution.get("target_url"))

    @property
    def latency_ms(self) -> float | None:
        """How long the execution took, in ms."""
        return _read.number(self.execution.get("latency_ms"))


def _place(credential_ref: str | None, target: str | Target | None) -> Any:
    """The one of the two that was given, as the native module takes it."""
    if (credential_ref is None) == (target is None):
        raise TypeError("give either credential_ref, the id of a stored credential, or target, a URL or a Target")
    if target is None:
        return credential_ref
    if isinstance(target, Target):
        return target._url, target._headers
    if not isinstance(target, str):
        raise TypeError(f"target must be a str or a Target, not {type(target).__name__}")
    return target, []
