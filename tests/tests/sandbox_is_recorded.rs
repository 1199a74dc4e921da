//! What the client gets from the sandbox for a task is what it would have got from the recorded server, to the digit.

use amply_sandbox::{Catalog, Release, Sandbox, SandboxBuilder};
use amply_sdk::{Client, RouteRequest};
use amply_tests::asking::route_request;
use amply_tests::json::Json;
use amply_tests::recording::{Recording, recordings};

/// A sandbox of the release that was recorded.
fn sandbox_3_1_12() -> SandboxBuilder {
    Sandbox::builder().release(Release::V3_1_12)
}

/// The request of a recorded route, if a typed one says the same.
fn asked(recording: &Recording) -> Option<RouteRequest> {
    let is_route = recording.request.method == "POST" && recording.request.path == "/api/v1/route";
    match route_request(&recording.request.json()?)? {
        Ok(request) if is_route && recording.response.status == 200 => Some(request),
        _ => None,
    }
}

/// The catalog that a recorded answer was computed from: its figures, with the names that only `/providers` tells.
fn catalog(answer: &Json, listed: &Json) -> Option<Catalog> {
    let raw = answer.get("raw_metrics")?;
    let mut providers = Vec::new();
    for (id, figures) in raw.get("all_providers")?.fields() {
        let named = listed
            .get("providers")?
            .objects()
            .into_iter()
            .find(|named| named.get("id").and_then(Json::text) == Some(id));
        let names = ["id", "display_name"].iter().filter_map(|name| Some((*name, named?.get(name)?)));
        providers.push(object(names.chain(figures.fields())));
    }
    let beside = ["catalog_source", "catalog_backend", "catalog_freshness"];
    let beside = beside.iter().filter_map(|name| Some((*name, raw.get(name)?)));
    let providers = Json::List(providers);
    let catalog = object([("providers", &providers)].into_iter().chain(beside));
    Catalog::from_json(&catalog.to_string()).ok()
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, &'a Json)>) -> Json {
    Json::Object(fields.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

#[tokio::test]
async fn a_task_is_routed_as_the_recorded_server_routed_it() {
    const OWN: [&str; 2] = ["request_id", "compute_ms"];
    let mut wrong = Vec::new();
    let mut count = 0;
    let recordings = recordings();
    let listed = recordings["catalog-providers"].response.json().unwrap();
    for (name, recording) in &recordings {
        let Some(request) = asked(recording) else { continue };
        let recorded = recording.response.json().unwrap();
        let mut builder = sandbox_3_1_12().require_api_key(recording.request.key().is_some());
        if name.starts_with("catalog-") {
            builder = builder.catalog(catalog(&recorded, &listed).unwrap());
        }
        let sandbox = builder.start().await.unwrap();
        let client = Client::builder().base_url(sandbox.url());
        let client = match recording.request.key() {
            Some(key) if key.starts_with("amply_sk_") => client.api_key(sandbox.user_key()),
            Some(_) => client.api_key(sandbox.server_key()),
            None => client,
        };
        let route = client.build().unwrap().route_task(request).await.unwrap();
        let ours = Json::parse(route.text()).unwrap();
        if ours.without(&OWN).to_string() != recorded.without(&OWN).to_string() {
            wrong.push(format!("{name}:\n  {ours}\n  {recorded}"));
        }
        let names = |body: &Json| body.fields().into_keys().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&recorded), "{name}");
        assert_eq!(route.meta().request_id(), route.route_id.as_deref(), "{name}");
        assert_eq!(route.meta().compute_ms(), route.compute_ms, "{name}");
        sandbox.stop().await;
        count += 1;
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 33);
}
