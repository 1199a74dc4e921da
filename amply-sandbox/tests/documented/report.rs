//! `POST /report`: what the routes of a principal cost, and what was saved.

use std::time::{Duration, UNIX_EPOCH};

use amply_sandbox::{Catalog, Sandbox};
use serde_json::{Value, json};

use crate::call::{request, route};
use crate::common::Failure;

const REPORT: &str = "/api/v1/report";
const DAY: Duration = Duration::from_secs(86_400);

async fn report(sandbox: &Sandbox, period: &str) -> Result<Value, Failure> {
    let body = json!({"period": period});
    let (answer, body) = request(sandbox, "POST", REPORT, Some(sandbox.user_key()), Some(&body)).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(body.get("request_id").and_then(Value::as_str), answer.header("x-amply-request-id"));
    Ok(body)
}

#[tokio::test]
async fn the_report_sums_the_routes_of_its_period_and_says_what_was_saved() -> Result<(), Failure> {
    let provider = |id, p99, cost| {
        json!({"id": id, "p99_latency_ms": p99, "cost_per_1m_dims_usd": cost,
            "success_rate_last_24h": 1, "success_rate_last_7d": 1, "win_rate": 1})
    };
    let catalog = json!({"providers": [provider("good", 10, 40_000), provider("dear", 9000, 100_000)]});
    // 2026-11-23
    let time = UNIX_EPOCH + Duration::from_secs(1_795_392_000);
    let builder =
        Sandbox::builder().catalog(Catalog::from_json(&catalog.to_string())?).clock_standing_at(time);
    let sandbox = builder.balance("100").charge_per_route("0.25").start().await?;
    let key = Some(sandbox.user_key());
    // 25,000 units are the most that a quote covers: 1,000 USD at the one, 2,500 at the other.
    let task = json!({"task": "store 1M vectors", "dimension": 1536, "budget_usd": 0});
    let mut ids = Vec::new();
    for days in [0, 40, 5] {
        sandbox.control().advance(DAY * days);
        let (_, body) = route(&sandbox, key, &task).await?;
        assert_eq!((&body["recommended"], &body["estimated_cost_usd"]), (&json!("good"), &json!(1000)));
        ids.push(body["request_id"].clone());
    }
    for other in [None, Some(sandbox.server_key())] {
        route(&sandbox, other, &task).await?;
    }
    for (id, success) in [(&ids[0], true), (&ids[1], true), (&ids[2], false)] {
        let told = json!({"route_id": id, "success": success});
        request(&sandbox, "POST", "/api/v1/outcome", key, Some(&told)).await?;
    }

    let month = report(&sandbox, "30d").await?;
    assert_eq!(
        month["totals"],
        json!({"routes": 2, "outcomes_reported": 2, "success_rate": 0.5, "charged_usd": 0.5, "estimated_cost_usd": 2000,
            "baseline_cost_usd": 5000, "saved_usd": 3000, "credits_awarded": 2})
    );
    assert_eq!(month["summary"], "Amply saved your agent fleet $3,000.00 in the last 30 days.");
    assert_eq!(
        (&month["from"], &month["to"]),
        (&json!("2026-12-08T00:00:00.000Z"), &json!("2027-01-07T00:00:00.000Z"))
    );
    let quarter = report(&sandbox, "90d").await?;
    assert_eq!((&quarter["period"], &quarter["from"]), (&json!("90d"), &json!("2026-10-09T00:00:00.000Z")));
    assert_eq!(
        (&quarter["totals"]["routes"], &quarter["totals"]["success_rate"]),
        (&json!(3), &json!(0.6667))
    );
    assert_eq!(quarter["summary"], "Amply saved your agent fleet $4,500.00 in the last 90 days.");
    Ok(())
}

#[tokio::test]
async fn a_report_of_nothing_is_one_of_zeros_and_does_not_invent_a_rate() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    route(&sandbox, None, &json!({"task": "x"})).await?;
    let report = report(&sandbox, "30d").await?;
    assert_eq!((&report["totals"]["routes"], &report["totals"]["success_rate"]), (&json!(0), &Value::Null));
    assert_eq!(report["summary"], "Amply saved your agent fleet $0.00 in the last 30 days.");
    Ok(())
}

#[tokio::test]
async fn another_period_and_another_caller_are_refused() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    for body in [
        json!({}),
        json!({"period": "1d"}),
        json!({"period": 30}),
        json!({"period": "30D"}),
        json!([]),
        Value::Null,
    ] {
        let (answer, error) =
            request(&sandbox, "POST", REPORT, Some(sandbox.user_key()), Some(&body)).await?;
        assert!(answer.status == 400 && error["detail"].is_string(), "{body}: {error}");
    }
    for (key, status, code) in [
        (None, 401, None),
        (Some("unknown"), 401, None),
        (Some(sandbox.server_key()), 403, Some("principal_required")),
    ] {
        let (answer, error) = request(&sandbox, "POST", REPORT, key, Some(&json!({"period": "30d"}))).await?;
        assert_eq!((answer.status, error["error"].as_str()), (status, code), "{key:?}");
    }
    Ok(())
}
