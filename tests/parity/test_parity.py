"""The same call by the library, the command, `Client` and `AsyncClient` gives equal JSON. `table.json` has the rows."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from amply_sdk import AsyncClient, Client, Sandbox

TABLE = json.loads((Path(__file__).parent / "table.json").read_text())
ROWS: dict[str, Any] = TABLE["rows"]
PROGRAMS = Path(os.environ.get("AMPLY_PROGRAMS", Path(__file__).parents[2] / "target/debug"))


def new_sandbox() -> Sandbox:
    return Sandbox(seed=8, agent_signup=True, clock_standing_at=datetime(2026, 1, 1, tzinfo=timezone.utc))


def plain(answer: Any, sandbox: Sandbox) -> Any:
    """Without what differs from run to run: the port, and how long the server took."""
    text = json.dumps(answer).replace(sandbox.url.removesuffix("/api/v1"), "http://sandbox")

    def without(found: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in found.items() if name != "compute_ms"}

    return json.loads(text, object_hook=without)


def by_program(program: str, *arguments: str, store: Path | None = None, stdin: str = "", first: str | None = None) -> Any:
    with new_sandbox() as sandbox:
        env = {"AMPLY_API_KEY": sandbox.user_key, "AMPLY_BASE_URL": sandbox.url}
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
        if program == "amply" and first == "credential":
            added = run("--json", "credentials", "add", "qdrant", stdin="s3cret")
            words = {"CREDENTIAL": added["credential"]["id"]}
            arguments = tuple(words.get(word, word) for word in arguments)
        return plain(run(*arguments, stdin=stdin), sandbox)


def call_of(client: Any, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def by_client(name: str) -> Any:
    how = ROWS[name]["python"]
    with new_sandbox() as sandbox, sandbox.client() as client:
        args = list(how.get("args", []))
        if how.get("after") == "ticket":
            args.append(client.route_task_tracked("store 1M vectors").ticket)
        elif how.get("after") == "route_id":
            args.append(client.route_task("store 1M vectors").route_id)
        if ROWS[name].get("first") == "credential":
            added = client.credentials.add("qdrant", "s3cret")
            args += [added.id] if how.get("after") == "credential" else []
        found = call_of(client, name)(*args, **how.get("kwargs", {}))
        return plain(getattr(found, how["attribute"]) if "attribute" in how else found, sandbox)


async def by_async_client(name: str) -> Any:
    how = ROWS[name]["python"]
    with new_sandbox() as sandbox:
        async with AsyncClient(api_key=sandbox.user_key, base_url=sandbox.url) as client:
            args = list(how.get("args", []))
            if how.get("after") == "ticket":
                args.append((await client.route_task_tracked("store 1M vectors")).ticket)
            elif how.get("after") == "route_id":
                args.append((await client.route_task("store 1M vectors")).route_id)
            if ROWS[name].get("first") == "credential":
                added = await client.credentials.add("qdrant", "s3cret")
                args += [added.id] if how.get("after") == "credential" else []
            found = await call_of(client, name)(*args, **how.get("kwargs", {}))
            return plain(getattr(found, how["attribute"]) if "attribute" in how else found, sandbox)


@pytest.mark.parametrize("name", ROWS)
def test_a_call_gives_equal_json_on_every_side(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    by_rust = by_program("parity", name)
    assert by_client(name) == by_rust
    assert asyncio.run(by_async_client(name)) == by_rust
    if "cli" in row:
        store, stdin = tmp_path / "store.db", row.get("cli_stdin", "")
        by_command = by_program("amply", "--json", *row["cli"], store=store, stdin=stdin, first=row.get("first"))
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
    assert sorted(ROWS) == listed
    rows = set(ROWS)
    public = {name for name in dir(Client) if not name.startswith("_")}
    assert {name for name in rows if "." not in name} == public - set(TABLE["no_rows"]["python"])
    for room in ("payments", "outbox", "credentials"):
        kind = type(getattr(Client(base_url="http://127.0.0.1:9"), room))
        calls = {name for name, part in vars(kind).items() if inspect.isfunction(part) and not name.startswith("_")}
        assert {name.partition(".")[2] for name in rows if name.startswith(f"{room}.")} == calls - set(TABLE["no_rows"][room])
