"""An agent asks where to run each of its tasks, pays for a route within caps, and reads why.

`python examples/python/agent.py` runs against a local sandbox: no account, no network.
"""

from __future__ import annotations

from amply_sdk import PaymentRequiredError, Sandbox, SpendLimitError

TASKS = ["store 1M 1536-dim vectors with metadata filters", "search 250k product embeddings", "ingest 5M log lines"]


def main() -> None:
    # A local server that answers 402 to a route that the wallet does not cover. A route costs 0.01 USD.
    with Sandbox(balance="0", strict_wallet=True) as sandbox:
        with sandbox.client() as client:
            try:
                client.route_task(TASKS[0])
            except PaymentRequiredError as error:
                print(f"nobody may pay: {error.challenge}")

        # Who pays, and what may be spent. Against the real server: amply_sdk.Client(api_key=…, spend=…, payer=…, store=…).
        with sandbox.paying_client(per_day="0.02") as client:
            for task in TASKS:
                try:
                    route = client.route_task(task)
                except SpendLimitError as error:
                    print(f"{task}: {error.code} ({error.cap})")
                    continue
                print(f"{task}: {route.recommended}, paid {route.meta.paid_usd} USD")
                for place in route.rankings[:2]:
                    print(f"  {place.rank}. {place.provider_id} {place.score}")


if __name__ == "__main__":
    main()
