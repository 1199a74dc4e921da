"""An agent with asyncio: many routes at once, one of them given up.

`python examples/python/asyncio_agent.py` runs against a local sandbox: no account, no network.
"""

from __future__ import annotations

import asyncio

from amply_sdk import AsyncClient, Sandbox

TASKS = [f"store {count}k vectors" for count in range(1, 65)]


async def main() -> None:
    async with Sandbox() as sandbox, AsyncClient(api_key=sandbox.user_key, base_url=sandbox.url) as client:
        routes = await asyncio.gather(*(client.route_task(task) for task in TASKS))
        print(f"{len(routes)} routes, all to {', '.join({route.recommended for route in routes})}")

        sandbox.fault({"delay": {"ms": 10_000}}, path="/route")
        try:
            await asyncio.wait_for(client.route_task("a route that takes too long"), timeout=0.2)
        except asyncio.TimeoutError:
            print("given up: its call was cancelled")


if __name__ == "__main__":
    asyncio.run(main())
