"""The examples run as a newcomer would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples/python"


def shown_by(name: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_agent_pays_for_two_routes_and_is_refused_the_third_by_its_cap() -> None:
    assert shown_by("agent.py") == (
        "nobody may pay: Challenge(shortfall_usd='0.01', balance_usd='0', amount_usd=None, and 6 more)\n"
        "store 1M 1536-dim vectors with metadata filters: qdrant, paid 0.01 USD\n"
        "  1. qdrant 0.8901\n"
        "  2. weaviate 0.6831\n"
        "search 250k product embeddings: qdrant, paid 0.01 USD\n"
        "  1. qdrant 0.8901\n"
        "  2. weaviate 0.6831\n"
        "ingest 5M log lines: spend_limit (per_day)\n"
    )


def test_the_agent_with_asyncio_routes_many_and_gives_one_up() -> None:
    assert shown_by("asyncio_agent.py") == "64 routes, all to qdrant\ngiven up: its call was cancelled\n"


def test_a_worker_reports_with_a_ticket() -> None:
    assert shown_by("worker_ticket.py") == (
        "agent: qdrant is to do it\n"
        "worker: reported, 1 credit\n"
        "agent: the server knows of a success: True\n"
    )


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == {"agent.py", "asyncio_agent.py", "worker_ticket.py"}
