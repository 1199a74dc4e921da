"""An agent asks for a route, a worker does the task and reports how it went.

The ticket is a str, so it travels by any queue: Celery, RQ, a pipe. Here the worker is a process of its own.
`python examples/python/worker_ticket.py` runs against a local sandbox: no account, no network.
"""

from __future__ import annotations

import multiprocessing
import time

from amply_sdk import Client, Sandbox


def work(base_url: str, api_key: str, ticket: str) -> None:
    """What the worker does. It needs the key and the ticket, and nothing else of the route."""
    with Client(api_key=api_key, base_url=base_url) as client:
        began = time.monotonic()
        # … the task itself
        took_ms = (time.monotonic() - began) * 1000
        report = client.report(ticket, success=True, actual_latency_ms=took_ms)
        print(f"worker: reported, {report.credits_awarded} credit", flush=True)


def main() -> None:
    with Sandbox() as sandbox, sandbox.client() as client:
        tracked = client.route_task_tracked("store 1M 1536-dim vectors")
        print(f"agent: {tracked.recommended} is to do it", flush=True)

        process = multiprocessing.get_context("spawn").Process(target=work, args=(sandbox.url, sandbox.user_key, tracked.ticket))
        process.start()
        process.join()

        audit = client.audit(str(tracked.route.route_id))
        print(f"agent: the server knows of a success: {audit.outcome is not None and audit.outcome['success']}")


if __name__ == "__main__":
    main()
