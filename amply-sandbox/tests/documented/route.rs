//! What 3.1.13 adds to the answer of a route.

use amply_sandbox::{ProviderState, Release, Sandbox};
use serde_json::{Value, json};

use crate::call::{get, principal_headers, route};
use crate::common::Failure;

const BOUND: [&str; 4] = ["1", "user_key", "on", "settlement_eligible"];

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|item| item["provider_id"].as_str()).collect()
}

#[tokio::test]
async fn a_route_tells_whether_a_principal_stands_behind_the_key() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let unbound = |source| ["0", source, "on", "recommendation_only_no_principal"];
    for (key, told) in [
        (Some(sandbox.user_key()), BOUND),
        (Some(sandbox.server_key()), unbound("server_key")),
        (None, unbound("none")),
    ] {
        let (answer, body) = route(&sandbox, key, &json!({"task": "x"})).await?;
        assert_eq!((answer.status, principal_headers(&answer)), (200, told));
        let integration = &body["integration"];
        assert_eq!(integration["principal_attached"], told[0] == "1");
        assert_eq!(integration["economics_mode"], told[3]);
        assert_eq!(integration["recommendation"].is_string(), told[0] == "0");
        assert_eq!(integration["alerts"].as_array().map(Vec::len), Some(usize::from(told[0] == "0")));
        assert_eq!(integration["links"]["billing_status"], "/api/v1/billing/status");
        assert_eq!(integration["links"]["outcome"], "/api/v1/outcome");
        let id = body["request_id"].as_str().ok_or("no id")?;
        let audit = (told[0] == "1").then(|| format!("/api/v1/route/audit?request_id={id}"));
        assert_eq!(integration["links"]["audit"].as_str(), audit.as_deref());
        assert_eq!(body["agent_hints"]["report_outcome"]["incentive"]["credits"], u8::from(told[0] == "1"));
        assert_eq!(integration["x402"], json!({"enabled": false, "spec": "amply.x402/1"}));
    }
    Ok(())
}

#[tokio::test]
async fn errors_to_a_caller_who_is_known_tell_of_the_principal_and_others_do_not() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let large = "a".repeat(1024 * 1024);
    for (body, status) in
        [(json!({"task": ""}), 400), (json!({"task": "x", "more": large}), 413), (Value::Null, 500)]
    {
        let (answer, error) = route(&sandbox, Some(sandbox.user_key()), &body).await?;
        assert_eq!((answer.status, principal_headers(&answer)), (status, BOUND));
        assert!(error.get("error").is_none(), "{error}");
    }
    let (answer, _) = route(&sandbox, Some("unknown"), &json!({"task": "x"})).await?;
    assert_eq!((answer.status, principal_headers(&answer)), (401, ["-"; 4]));
    Ok(())
}

#[tokio::test]
async fn without_metering_there_is_no_word_of_economics() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().metering(false).start().await?;
    let (answer, body) = route(&sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    assert_eq!(principal_headers(&answer), ["1", "user_key", "-", "-"]);
    assert!(body.get("integration").is_none());
    assert_eq!(body["usage"]["billable"], false);
    assert_eq!(body["estimated_charge_usd"], json!(0));
    Ok(())
}

#[tokio::test]
async fn what_is_added_comes_after_what_was_recorded() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().seed(3).start().await?;
    let older = Sandbox::builder().seed(3).release(Release::V3_1_12).start().await?;
    let body = json!({"task": "x", "slo_p99_ms": 40});
    let (new, _) = route(&sandbox, Some(sandbox.user_key()), &body).await?;
    let (old, _) = route(&older, Some(older.user_key()), &body).await?;

    assert_eq!(principal_headers(&old), ["-"; 4]);
    let recorded = |text: &str| text.split(r#","compute_ms":"#).next().unwrap_or_default().to_owned();
    let measured = r#","metrics_source":"seed","measured_at":null"#;
    assert_eq!(recorded(&new.body).replacen(measured, "", 1), recorded(&old.body));
    let keys: Vec<&str> = [
        "compute_ms",
        "rankings",
        "agent_hints",
        "usage",
        "estimated_charge_usd",
        "cost_analysis",
        "filtered_out",
        "integration",
    ]
    .into();
    let found: Vec<usize> = keys.iter().filter_map(|key| new.body.find(&format!("\"{key}\":"))).collect();
    assert_eq!(found.len(), keys.len());
    assert!(found.is_sorted(), "{}", new.body);
    assert!(new.body.contains(r#""estimated_charge_usd":0.01,"#), "{}", new.body);
    Ok(())
}

#[tokio::test]
async fn rankings_are_ordered_by_score_and_say_where_their_figures_come_from() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    sandbox.control().set_probe("chroma", None);
    sandbox.control().set_probe("weaviate", Some(ProviderState::Down));
    let (_, body) = route(&sandbox, None, &json!({"task": "x"})).await?;
    let rankings = &body["rankings"];
    assert_eq!(ids(rankings), ["qdrant", "weaviate", "chroma", "pinecone", "supabase"]);
    assert_eq!(body["recommended"], rankings[0]["provider_id"]);
    for (ranking, rank) in rankings.as_array().ok_or("no rankings")?.iter().zip(1..) {
        assert_eq!(ranking["rank"], rank);
        let metrics =
            &body["raw_metrics"]["all_providers"][ranking["provider_id"].as_str().ok_or("no id")?];
        assert_eq!(ranking["score"], metrics["composite_score"]);
        for figure in
            ["components", "p99_latency_ms", "cost_per_1m_dims_usd", "success_rate_last_7d", "win_rate"]
        {
            assert_eq!(ranking[figure], metrics[figure], "{figure}");
        }
        let sources =
            if ranking["provider_id"] == "chroma" { json!(["catalog"]) } else { json!(["catalog", "probe"]) };
        assert_eq!(ranking["confidence_sources"], sources);
    }
    let hint = &body["agent_hints"]["report_outcome"];
    assert_eq!((&hint["endpoint"], &hint["method"]), (&json!("/api/v1/outcome"), &json!("POST")));
    assert_eq!(hint["route_id"], body["request_id"]);
    assert_eq!(hint["expected_fields"], json!(["route_id", "success", "actual_latency_ms", "error_code"]));
    assert!(hint["incentive"]["description"].is_string());
    Ok(())
}

#[tokio::test]
async fn hard_limits_filter_providers_out_and_leave_the_scores_alone() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().start().await?;
    let (_, free) = route(&sandbox, None, &json!({"task": "x"})).await?;
    let limits = json!({"task": "x", "budget_usd_per_1m_ops": "0.25", "slo_p99_ms": 62});
    let (_, body) = route(&sandbox, None, &limits).await?;
    assert_eq!(ids(&body["rankings"]), ["qdrant", "chroma"]);
    assert_eq!(
        body["filtered_out"],
        json!([
            {"provider_id": "pinecone", "reasons": ["cost_above_budget_usd_per_1m_ops"]},
            {"provider_id": "weaviate", "reasons": ["cost_above_budget_usd_per_1m_ops"]},
            {"provider_id": "supabase", "reasons": ["p99_latency_above_slo_p99_ms"]},
        ])
    );
    assert_eq!(body["cost_analysis"]["providers_considered"], 5);
    assert_eq!(body["cost_analysis"]["providers_within_limits"], 2);
    assert_eq!(body["cost_analysis"]["cheapest_provider_id"], "chroma");
    assert_eq!(body["raw_metrics"]["all_providers"], free["raw_metrics"]["all_providers"]);
    assert!(body["why"].as_str().is_some_and(|why| why.contains("vs runner-up Chroma")), "{body}");

    let (_, body) = route(&sandbox, None, &json!({"task": "x", "budget_usd_per_1m_ops": 0.15})).await?;
    assert_eq!((&body["recommended"], &body["score"]), (&json!("chroma"), &free["rankings"][2]["score"]));
    assert!(free.get("cost_analysis").is_none() && free.get("filtered_out").is_none());
    Ok(())
}

#[tokio::test]
async fn limits_that_no_provider_keeps_are_named_and_nothing_is_counted() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().daily_quota(1).start().await?;
    let limits = json!({"task": "x", "budget_usd_per_1m_ops": 0, "slo_p99_ms": 5.5});
    let (answer, error) = route(&sandbox, Some(sandbox.user_key()), &limits).await?;
    assert_eq!(answer.status, 422);
    assert_eq!(error["detail"], "No provider is within budget_usd_per_1m_ops 0 and slo_p99_ms 5.5");
    assert_eq!(error["error"], "no_provider_within_limits");
    let (answer, error) = route(&sandbox, None, &json!({"task": "x", "slo_p99_ms": 0})).await?;
    assert_eq!((answer.status, &error["detail"]), (400, &json!("slo_p99_ms must be a number > 0")));

    let (_, metrics) = get(&sandbox, "/api/v1/platform-metrics").await?;
    assert_eq!(metrics["decisions_last_30d"], 0);
    let (answer, _) = route(&sandbox, Some(sandbox.user_key()), &json!({"task": "x"})).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_catalog_with_a_time_says_when_it_was_measured() -> Result<(), Failure> {
    let catalog = amply_sandbox::Catalog::from_json(
        r#"{"providers":[{"id":"a","p99_latency_ms":1,"cost_per_1m_dims_usd":1,"success_rate_last_24h":1,"success_rate_last_7d":1,"win_rate":1}],
        "catalog_source":"supabase","catalog_freshness":{"metrics_as_of":"2026-11-22T11:39:46.581Z"}}"#,
    )?;
    let sandbox = Sandbox::builder().catalog(catalog).start().await?;
    let (_, body) = route(&sandbox, None, &json!({"task": "x"})).await?;
    let (_, providers) = get(&sandbox, "/api/v1/providers").await?;
    for place in [&body["raw_metrics"], &providers] {
        assert_eq!(place["metrics_source"], "catalog");
        assert_eq!(place["measured_at"], "2026-11-22T11:39:46.581Z");
    }
    Ok(())
}
