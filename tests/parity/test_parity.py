"""The same call by the library, the command, `Client` and `AsyncClient` gives equal JSON. `table.json` has the rows."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import AdminTopUp, AsyncClient, Client, Sandbox, SpendPolicy

TABLE = json.loads((Path(__file__).parent / "table.json").read_text())
ROWS: dict[str, Any] = TABLE["rows"]
ENDPOINTS: dict[str, list[str]] = TABLE["endpoints"]
PROGRAMS = Path(os.environ.get("AMPLY_PROGRAMS", Path(__file__).parents[2] / "target/debug"))


def new_sandbox(row: dict[str, Any]) -> Sandbox:
    standing = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Sandbox(seed=8, agent_signup=True, clock_standing_at=standing, **row.get("sandbox", {}))


def means(row: dict[str, Any], sandbox: Sandbox) -> dict[str, Any]:
    """The settings of a client for a row."""
    settings: dict[str, Any] = {"api_key": sandbox.user_key, "base_url": sandbox.url}
    if row.get("admin"):
        settings["payer"] = AdminTopUp(secret=sandbox.admin_secret)
        settings["store"] = ":memory:"
        settings["spend"] = SpendPolicy(per_topup="10", per_day="10", per_process_only=True)
    return settings


def plain(answer: Any, sandbox: Sandbox, row: dict[str, Any]) -> Any:
    """Without what differs from run to run: the port, how long the server took, and what the row `drops`."""
    dropped = {"compute_ms", *row.get("drops", [])}
    text = json.dumps(answer).replace(sandbox.url.removesuffix("/api/v1"), "http://sandbox")

    def without(found: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in found.items() if name not in dropped}

    return json.loads(text, object_hook=without)


def by_program(program: str, *arguments: str, row: dict[str, Any], store: Path | None = None) -> Any:
    with new_sandbox(row) as sandbox:
        env = {"AMPLY_API_KEY": sandbox.user_key, "AMPLY_BASE_URL": sandbox.url}
        if row.get("admin"):
            env["AMPLY_ADMIN_SECRET"] = sandbox.admin_secret
        if store is not None:
            env["AMPLY_STORE"] = str(store)

        def run(*arguments: str, stdin: str = "") -> Any:
            done = subprocess.run(
                [PROGRAMS / program, *arguments], env=env, input=stdin, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        if {"TICKET", "ROUTE_ID"} & set(arguments):
            route = run("--json", "route", "--track", "store 1M vectors")
            words = {"TICKET": route["amply_ticket"], "ROUTE_ID": route["request_id"]}
            arguments = tuple(words.get(word, word) for word in arguments)
        if program == "amply" and row.get("first") == "credential":
            added = run("--json", "credentials", "add", "qdrant", stdin="s3cret")
            words = {"CREDENTIAL": added["credential"]["id"]}
            arguments = tuple(words.get(word, word) for word in arguments)
        return plain(run(*arguments, stdin=row.get("cli_stdin", "") if program == "amply" else ""), sandbox, row)


def call_of(client: Any, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def by_client(name: str, called: list[dict[str, Any]] | None = None) -> Any:
    row = ROWS[name]
    how = row["python"]
    with new_sandbox(row) as sandbox, Client(**means(row, sandbox)) as client:
        args = list(how.get("args", []))
        if how.get("after") == "ticket":
            args.append(client.route_task_tracked("store 1M vectors").ticket)
        elif how.get("after") == "route_id":
            args.append(client.route_task("store 1M vectors").route_id)
        if row.get("first") == "credential":
            added = client.credentials.add("qdrant", "s3cret")
            args += [added.id] if how.get("after") == "credential" else []
        found = call_of(client, row.get("call", name))(*args, **how.get("kwargs", {}))
        if called is not None:
            called += sandbox.calls()
        return plain(getattr(found, how["attribute"]) if "attribute" in how else found, sandbox, row)


async def by_async_client(name: str) -> Any:
    row = ROWS[name]
    how = row["python"]
    with new_sandbox(row) as sandbox:
        async with AsyncClient(**means(row, sandbox)) as client:
            args = list(how.get("args", []))
            if how.get("after") == "ticket":
                args.append((await client.route_task_tracked("store 1M vectors")).ticket)
            elif how.get("after") == "route_id":
                args.append((await client.route_task("store 1M vectors")).route_id)
            if row.get("first") == "credential":
                added = await client.credentials.add("qdrant", "s3cret")
                args += [added.id] if how.get("after") == "credential" else []
            found = await call_of(client, row.get("call", name))(*args, **how.get("kwargs", {}))
            return plain(getattr(found, how["attribute"]) if "attribute" in how else found, sandbox, row)


@pytest.mark.parametrize("name", ROWS)
def test_a_call_gives_equal_json_on_every_side(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    by_rust = by_program("parity", row.get("call", name), row=row)
    assert by_client(name) == by_rust
    assert asyncio.run(by_async_client(name)) == by_rust
    if "cli" in row:
        by_command = by_program("amply", "--json", *row["cli"], row=row, store=tmp_path / "store.db")
        if "cli_adds" in row:
            by_command.pop(row["cli_adds"])
        assert (by_command[row["cli_at"]] if "cli_at" in row else by_command) == by_rust


def test_a_side_that_is_missing_is_missing_indeed() -> None:
    commands = subprocess.run([PROGRAMS / "amply", "--help"], capture_output=True, text=True, timeout=60).stdout
    for name, row in ROWS.items():
        assert ("cli" in row) != ("cli" in row.get("not_yet", {})), f"{name}: a command, or the reason why there is none"
        if "cli" not in row:
            command = row["not_yet"]["cli"]
            there = any(line.split()[:1] == [command] for line in commands.splitlines())
            assert not there, f"`amply {command}` is there now: give the row `{name}` its command"


def test_every_call_has_a_row() -> None:
    listed = json.loads(subprocess.run([PROGRAMS / "parity", "--list"], capture_output=True, text=True, timeout=60).stdout)
    rows = {row.get("call", name) for name, row in ROWS.items()}
    assert sorted(rows) == listed
    public = {name for name in dir(Client) if not name.startswith("_")}
    assert {name for name in rows if "." not in name} == public - set(TABLE["no_rows"]["python"])
    for room in ("payments", "outbox", "credentials"):
        kind = type(getattr(Client(base_url="http://127.0.0.1:9"), room))
        calls = {name for name, part in vars(kind).items() if inspect.isfunction(part) and not name.startswith("_")}
        assert {name.partition(".")[2] for name in rows if name.startswith(f"{room}.")} == calls - set(TABLE["no_rows"][room])


def test_every_endpoint_has_a_row() -> None:
    with Sandbox() as sandbox, sandbox.client() as client:
        paths = client.openapi()["paths"]
    documented = {
        f"{method.upper()} {path.removeprefix('/api/v1')}" for path, methods in paths.items() for method in methods
    }
    assert len(documented) == 18
    assert set(ENDPOINTS) == documented
    for endpoint, names in ENDPOINTS.items():
        assert any({"cli", "python"} <= set(ROWS[name]) for name in names), f"{endpoint}: a row with every side"


@pytest.mark.parametrize("endpoint, name", [(endpoint, name) for endpoint, names in ENDPOINTS.items() for name in names])
def test_the_row_of_an_endpoint_calls_it(endpoint: str, name: str) -> None:
    called: list[dict[str, Any]] = []
    by_client(name, called)
    method, _, path = endpoint.partition(" ")
    pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", f"/api/v1{path}"))
    answered = [call for call in called if call["method"] == method and pattern.fullmatch(call["path"].partition("?")[0])]
    assert [call for call in answered if 200 <= call["status"] < 300]
