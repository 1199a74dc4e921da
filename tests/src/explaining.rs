//! Catalogs by chance, and what a server makes of them.

use amply_sandbox::{Catalog, Sandbox};
use amply_sdk::{Change, Client, Explanation, FilterComplexity, RouteRequest, Usd, WorkloadType};
use serde_json::{Value, json};

/// A catalog and a request, by chance. Figures are coarse, so that some are equal and some are extremes.
pub struct Case {
    catalog: Value,
    request: RouteRequest,
}

impl Case {
    /// Another one for each state of the generator.
    pub fn by_chance(rng: &mut fastrand::Rng) -> Self {
        let share = |rng: &mut fastrand::Rng| f64::from(rng.u32(800..=1000)) / 1000.0;
        let providers: Vec<Value> = (0..rng.usize(2..=6))
            .map(|number| {
                json!({
                    "id": format!("p{number}"),
                    "p99_latency_ms": rng.u32(1..=40) * 5,
                    "cost_per_1m_dims_usd": f64::from(rng.u32(1..=60)) / 100.0,
                    "success_rate_last_24h": share(rng),
                    "success_rate_last_7d": share(rng),
                    "win_rate": f64::from(rng.u32(0..=10)) / 10.0,
                })
            })
            .collect();
        let budget: Usd = format!("0.00{}", rng.u32(0..=9)).parse().unwrap();
        let mut request = RouteRequest::new("store 1M vectors")
            .workload_type(rng.choice(WorkloadType::ALL).unwrap().1)
            .filter_complexity(rng.choice(FilterComplexity::ALL).unwrap().1)
            .budget_usd(budget)
            .latency_target_ms(rng.u32(0..=60));
        // A hard limit, now and then; one that leaves nobody is no case.
        if rng.u32(0..4) == 0 {
            request = request.slo_p99_ms(rng.u32(150..=200));
        }
        Self { catalog: json!({ "providers": providers }), request }
    }

    /// The same catalog with one figure changed.
    #[must_use]
    pub fn with(&self, provider_id: &str, metric: &str, value: f64) -> Self {
        let mut catalog = self.catalog.clone();
        for provider in catalog.get_mut("providers").and_then(|providers| providers.as_array_mut()).unwrap() {
            if provider["id"] == provider_id {
                provider[metric] = json!(value);
            }
        }
        Self { catalog, request: self.request.clone() }
    }

    /// What a server with this catalog answers, explained; `None` where the limits leave nobody.
    pub async fn explained(&self) -> Option<Explanation> {
        let catalog = Catalog::from_json(&self.catalog.to_string()).unwrap();
        let sandbox = Sandbox::builder().catalog(catalog).start().await.unwrap();
        let client = Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build().unwrap();
        client.route_task(&self.request).await.ok().map(|route| route.explain())
    }
}

/// A value that is a little worse than what a change asks for.
pub fn a_little_worse(change: &Change) -> f64 {
    let needed = change.metric_needed.unwrap();
    match change.metric.unwrap() {
        "p99_latency_ms" => needed + 0.02,
        "cost_per_1m_dims_usd" => needed + 0.000_2,
        _ => needed - 0.000_2,
    }
}

/// The best that a figure can be.
pub fn best_of(change: &Change) -> f64 {
    if matches!(change.metric.unwrap(), "p99_latency_ms" | "cost_per_1m_dims_usd") { 0.0 } else { 1.0 }
}
