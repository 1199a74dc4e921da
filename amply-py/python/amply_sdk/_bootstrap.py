"""From nothing to a key: the manifest by which an agent finds its way, and a new account."""

from __future__ import annotations

from . import _native, _read
from ._results import Answer, Item, _objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class AgentManifest(Answer):
    """How an agent gets from nothing to a route and its outcome.

    No path of it leaves the server: a manifest with one that does is refused. They are for reading: the client itself asks
    only the endpoints that it knows.

    Example:
        >>> manifest = client.agent()
        >>> [step.id for step in manifest.steps]
        ['discover', 'health', 'schema', 'credential', 'catalog', 'route', 'outcome', 'audit']
        >>> manifest.auth_mode, manifest.tos_version_for_signup
        ('none', '2026-11-01')
    """

    __slots__ = ()
    _shown = ("ok", "tos_version_for_signup", "autonomous_credential_path")

    @property
    def steps(self) -> list[AgentStep]:
        """The steps, in the order in which they are to be done; one comes after those that it says it waits for."""
        import json

        steps = _objects(self._workflow.get("steps"))
        by_id: dict[str, list[dict[str, Any]]] = {}
        for step in steps:
            by_id.setdefault(_read.text(step.get("id")) or "", []).append(step)
        # Equal ids stay as they came.
        return [AgentStep(by_id[id].pop(0)) for id in _native.read_steps(json.dumps(self))]

    def next_step(self, done: Iterable[str] = ()) -> AgentStep | None:
        """The first step that is not among those that are done, by their ids; None when all are.

        Example:
            >>> client.agent().next_step(["discover"]).purpose
            'see that the server is up and how its catalog is'
        """
        if isinstance(done, str):
            raise TypeError("done is a text; it must be a list of the ids of steps")
        known = set(done)
        return next((step for step in self.steps if step.id not in known), None)

    @property
    def tos_version_for_signup(self) -> str | None:
        """The version of the terms that a signup must accept."""
        return _read.text(self.get("tos_version_for_signup"))

    @property
    def auth_mode(self) -> str | None:
        """`none` when no key is needed, `api_key`, or another word."""
        return _read.text(self._workflow.get("auth_mode"))

    @property
    def principal_binding_policy(self) -> PrincipalPolicy | None:
        """How a route gets to count for a principal, and how that is seen."""
        found = self._workflow.get("principal_binding_policy")
        return PrincipalPolicy(found) if isinstance(found, dict) else None

    @property
    def route_rate_limit(self) -> dict[str, Any] | None:
        """The limit on routes per address: `enabled`, `requests_per_minute_per_ip`."""
        found = self._workflow.get("route_rate_limit")
        return found if isinstance(found, dict) else None

    @property
    def agent_signup(self) -> AgentSignup | None:
        """Whether and how an agent may sign up."""
        found = self._workflow.get("agent_signup")
        return AgentSignup(found) if isinstance(found, dict) else None

    @property
    def x402(self) -> AgentX402 | None:
        """Whether a 402 can be answered by a machine."""
        found = self._workflow.get("x402")
        return AgentX402(found) if isinstance(found, dict) else None

    @property
    def commercial(self) -> dict[str, Any] | None:
        """Where prices are, and whom to ask; its links are for people."""
        found = self.get("commercial")
        return found if isinstance(found, dict) else None

    @property
    def _workflow(self) -> dict[str, Any]:
        found = self.get("workflow")
        return found if isinstance(found, dict) else {}


class AgentStep(Item):
    """One step of a manifest.

    Example:
        >>> step = client.agent().next_step(["discover", "health", "schema"])
        >>> step.id, step.method, step.path
        ('credential', 'POST', '/api/v1/signup/agent')
    """

    __slots__ = ()
    _shown = ("id", "method", "path", "auth")

    @property
    def id(self) -> str:
        """Its name, for example `credential`."""
        return _read.text(self.get("id")) or ""

    @property
    def method(self) -> str | None:
        """The HTTP method."""
        return _read.text(self.get("method"))

    @property
    def path(self) -> str | None:
        """The path on the server's origin."""
        return _read.text(self.get("path"))

    @property
    def purpose(self) -> str | None:
        """What it is for, in words."""
        return _read.text(self.get("purpose"))

    @property
    def auth(self) -> str | None:
        """What has to be shown for it, in the server's word, such as `none` or `bearer`."""
        return _read.text(self.get("auth"))


class PrincipalPolicy(Item):
    """How a route gets to count for a principal, and how that is seen.

    Example:
        >>> client.agent().principal_binding_policy.check_response_field
        'integration.principal_attached'
    """

    __slots__ = ()
    _shown = ("summary", "check_response_field")

    @property
    def summary(self) -> str | None:
        """The rule, in words."""
        return _read.text(self.get("summary"))

    @property
    def check_response_field(self) -> str | None:
        """The field of a route's answer that tells."""
        return _read.text(self.get("check_response_field"))

    @property
    def check_response_headers(self) -> list[str]:
        """The headers of a route's answer that tell."""
        found = self.get("check_response_headers")
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    @property
    def recommended_machine_flow(self) -> list[MachineStep]:
        """What the server recommends to a machine, in its order."""
        return [MachineStep(step) for step in _objects(self.get("recommended_machine_flow"))]


class MachineStep(Item):
    """One call of the flow that the server recommends to a machine.

    Example:
        >>> first = client.agent().principal_binding_policy.recommended_machine_flow[0]
        >>> first.step, first.method, first.path
        (1, 'POST', '/api/v1/signup/agent')
    """

    __slots__ = ()
    _shown = ("step", "method", "path", "goal")

    @property
    def step(self) -> int | None:
        """Its number, from 1."""
        return _read.whole(self.get("step"))

    @property
    def method(self) -> str | None:
        """The HTTP method."""
        return _read.text(self.get("method"))

    @property
    def path(self) -> str | None:
        """The path on the server's origin."""
        return _read.text(self.get("path"))

    @property
    def goal(self) -> str | None:
        """What it is for, in words."""
        return _read.text(self.get("goal"))


class AgentSignup(Item):
    """Whether and how an agent may sign up: `AgentManifest.agent_signup`, and `Status.agent_signup`.

    Example:
        >>> client.agent().agent_signup
        AgentSignup(enabled=False, tos_version='2026-11-01', requires_shared_secret=False, and 2 more)
    """

    __slots__ = ()
    _shown = ("enabled", "tos_version", "requires_shared_secret")

    @property
    def enabled(self) -> bool | None:
        """Whether it may."""
        return _read.flag(self.get("enabled"))

    @property
    def requires_shared_secret(self) -> bool | None:
        """Whether it must bring a token, which whoever runs the server gives out."""
        return _read.flag(self.get("requires_shared_secret"))

    @property
    def tos_version(self) -> str | None:
        """The version of the terms that a signup must accept."""
        return _read.text(self.get("tos_version"))

    @property
    def tos_url(self) -> str | None:
        """Where a person reads the terms, on a server that says so. Show it, send nothing to it."""
        return _read.text(self.get("tos_url"))

    @property
    def max_signups_per_hour_per_ip(self) -> int | None:
        """Signups an hour for one IP address."""
        return _read.whole(self.get("max_signups_per_hour_per_ip"))

    @property
    def path(self) -> str | None:
        """The path on the server's origin."""
        return _read.text(self.get("path"))


class AgentX402(Item):
    """Whether a 402 of this server can be answered by a machine.

    Example:
        >>> client.agent().x402
        AgentX402(enabled=False, spec='amply.x402/1')
    """

    __slots__ = ()
    _shown = ("enabled", "spec")

    @property
    def enabled(self) -> bool | None:
        """Whether it can."""
        return _read.flag(self.get("enabled"))

    @property
    def spec(self) -> str | None:
        """How a 402 is shaped, for example `amply.x402/1`."""
        return _read.text(self.get("spec"))


class NewAccount(Answer):
    """A new account: a dict with what the server said but the key, which is in `api_key` and `exposed` alone.

    So `json.dumps`, `dict`, `==`, `repr` and a log are without the key. It cannot be pickled, which would lose the key or write
    it down: take `api_key` out, and keep it where secrets are kept. A copy has the key. A text of Python cannot be cleared from
    memory, as the library in Rust clears it.

    Example:
        >>> with Sandbox(agent_signup=True) as open_to_all, Client(base_url=open_to_all.url) as nobody:
        ...     account = nobody.signup("2026-11-01")
        >>> account.api_key in str(account), "api_key" in account
        (False, False)
        >>> with Sandbox(agent_signup=True) as open_to_all, Client(base_url=open_to_all.url) as nobody:
        ...     key = nobody.signup("2026-11-01").api_key
        ...     Client(api_key=key, base_url=open_to_all.url).route_task("store 1M vectors").principal.is_bound
        True
    """

    __slots__ = ("_secrets",)
    _secrets: tuple[str, str]
    _shown = ("principal_id", "tos_version")

    @property
    def api_key(self) -> str:
        """The key. The server does not show it again.

        Raises:
            AttributeError: this account came from no signup.
        """
        return self._kept()[0]

    @property
    def exposed(self) -> dict[str, Any]:
        """The server's JSON as it came, with the key.

        Raises:
            AttributeError: this account came from no signup.
        """
        import json

        found: dict[str, Any] = json.loads(self._kept()[1])
        return found

    @property
    def principal_id(self) -> str | None:
        """Whom the key is bound to."""
        return _read.text(self.get("principal_id"))

    @property
    def tos_version(self) -> str | None:
        """The version of the terms that was accepted."""
        return _read.text(self.get("tos_version"))

    @property
    def quickstart(self) -> dict[str, Any]:
        """Where to go on: `agent_url`, `openapi_url`, `route_url`, `outcome_url`. The server's word; the client does not follow."""
        found = self.get("quickstart")
        return found if isinstance(found, dict) else {}

    def copy(self) -> NewAccount:
        """A copy with the key; its values are shared."""
        made = super().copy()
        if hasattr(self, "_secrets"):
            made._secrets = self._secrets
        return made

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> NewAccount:
        from copy import deepcopy

        made = self.copy()
        for name, value in self.items():
            made[name] = deepcopy(value, memo)
        return made

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        raise TypeError("a new account cannot be pickled: it holds a key; take `api_key` out and keep it with your secrets")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, api_key hidden)"

    def _kept(self) -> tuple[str, str]:
        try:
            return self._secrets
        except AttributeError:
            raise AttributeError("this account came from no signup, so that there is no key") from None


def _account(raw: tuple[tuple[Any, _native.Source], str, str]) -> NewAccount:
    account = NewAccount(raw[0][0])
    account._source = raw[0][1]
    account._secrets = (raw[1], raw[2])
    return account


def _token(token: str | None) -> str | None:
    # Else the message of the native module would show it.
    if token is not None and not isinstance(token, str):
        raise TypeError(f"token is of type {type(token).__name__}; it must be a text")
    return token
