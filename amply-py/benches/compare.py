"""Compares the package with other clients: calls per second, CPU per call, import, memory. `cargo xtask bench --python`.

Every figure is a ratio of two things measured in one run, in rounds by turns against one server that answers all with the same
recorded route; the median of the rounds counts. Goals that are not met make it end with 1.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import aiohttp
import httpx

import amply_sdk

ROUNDS = 9
CALLS = 1000
AT_ONCE = 64
KEY = "amply_sk_" + "A" * 32
TASK = "store 1M 1536-dim vectors with metadata filters and low-latency queries"
RECORDING = Path(__file__).parents[2] / "tests/fixtures/server-3.1.12/open-route-minimal.json"

missed: list[str] = []


@contextmanager
def constant_server(program: str) -> Iterator[str]:
    body = json.loads(RECORDING.read_text())["response"]["body"]
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(body, file, separators=(",", ":"))
        file.flush()
        with subprocess.Popen([program, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin and server.stdout
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/api/v1"
            server.stdin.close()


def say(what: str, ours: float, peer: float, unit: str, ratio: float, goal: float, least: bool) -> None:
    met = ratio >= goal if least else ratio <= goal
    sign = "≥" if least else "≤"
    print(f"{what:<46} {ours:>10.1f} {peer:>10.1f} {unit:<8} {ratio:>6.2f} {sign} {goal:<5} {'met' if met else 'NOT MET'}")
    if not met:
        missed.append(what)


def paired(ours: list[float], peer: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, peer))


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Calls per second, and µs of CPU per call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(CALLS):
        call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return CALLS / wall, cpu / CALLS * 1e6


def compare_sync(url: str) -> None:
    client = amply_sdk.Client(api_key=KEY, base_url=url)
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}
    peer = httpx.Client(headers=headers)
    body = {"task": TASK}

    def ours() -> object:
        return client.route_task(TASK)["recommended"]

    def by_httpx() -> object:
        answer = peer.post(f"{url}/route", json=body)
        answer.raise_for_status()
        return answer.json()["recommended"]

    def by_urllib() -> object:
        request = urllib.request.Request(
            f"{url}/route", json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["recommended"]

    rates: dict[str, list[float]] = {}
    cpus: dict[str, list[float]] = {}
    calls = {"ours": ours, "httpx": by_httpx, "urllib": by_urllib}
    for name, call in calls.items():
        for _ in range(100):
            call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            rate, cpu = timed(call)
            rates.setdefault(name, []).append(rate)
            cpus.setdefault(name, []).append(cpu)
    mid = {name: statistics.median(values) for name, values in rates.items()}
    say("6 Client.route_task : httpx.Client", mid["ours"], mid["httpx"], "calls/s", paired(rates["ours"], rates["httpx"]), 5, True)
    say("6 Client.route_task : urllib", mid["ours"], mid["urllib"], "calls/s", paired(rates["ours"], rates["urllib"]), 2.8, True)
    for name in calls:
        print(f"  CPU per call, {name}: {statistics.median(cpus[name]):.0f} µs")


async def timed_at_once(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    left = iter(range(CALLS * 4))

    async def worker() -> None:
        for _ in left:
            await call()

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return CALLS * 4 / wall, cpu / (CALLS * 4) * 1e6


async def compare_async(url: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "application/json"}
    async with amply_sdk.AsyncClient(api_key=KEY, base_url=url) as client:
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=AT_ONCE)) as peer:

            async def ours() -> object:
                return (await client.route_task(TASK))["recommended"]

            async def by_aiohttp() -> object:
                async with peer.post(f"{url}/route", json={"task": TASK}) as answer:
                    answer.raise_for_status()
                    return (await answer.json())["recommended"]

            await timed_at_once(ours)
            await timed_at_once(by_aiohttp)
            results = [(await timed_at_once(ours), await timed_at_once(by_aiohttp)) for _ in range(ROUNDS)]
    rate, peer_rate = ([pair[side][0] for pair in results] for side in (0, 1))
    cpu, peer_cpu = ([pair[side][1] for pair in results] for side in (0, 1))
    middle = statistics.median
    what = f"AsyncClient.route_task, {AT_ONCE} at once : aiohttp"
    say(f"7 {what}", middle(rate), middle(peer_rate), "calls/s", paired(rate, peer_rate), 4, True)
    say("7 the same, CPU per call", middle(cpu), middle(peer_cpu), "µs", paired(cpu, peer_cpu), 0.33, False)


def compare_import() -> None:
    def once(module: str) -> float:
        program = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout) * 1e3

    once("amply_sdk"), once("httpx")
    ours, peer = zip(*((once("amply_sdk"), once("httpx")) for _ in range(ROUNDS)))
    middle = statistics.median
    say("8 import amply_sdk : import httpx", middle(ours), middle(peer), "ms", paired(list(ours), list(peer)), 0.1, False)


def memory_growth(url: str) -> None:
    """What 90,000 calls leave behind, after the first 10,000."""

    def resident() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    client = amply_sdk.Client(api_key=KEY, base_url=url)
    for _ in range(10_000):
        client.route_task(TASK)
    before = resident()
    for _ in range(90_000):
        client.route_task(TASK)
    grown = resident() - before
    met = grown < 2
    print(f"{'growth of memory, 90,000 calls after 10,000':<46} {grown:>10.2f} {'':>10} {'MiB':<8} {'':>6} < 2     {'met' if met else 'NOT MET'}")
    if not met:
        missed.append("memory")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: compare.py CONSTANT-SERVER")
    print(f"{'':<46} {'ours':>10} {'peer':>10} {'':<8} {'ratio':>6}   goal")
    with constant_server(sys.argv[1]) as url:
        compare_sync(url)
        asyncio.run(compare_async(url))
        compare_import()
        memory_growth(url)
    sys.exit(f"not met: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
