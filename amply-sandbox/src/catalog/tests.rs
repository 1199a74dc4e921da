use super::*;

const GOOD: &str = r#""p99_latency_ms":1,"cost_per_1m_dims_usd":0.5,"success_rate_last_24h":1,"success_rate_last_7d":0,"win_rate":0.5"#;

fn error(text: &str) -> String {
    Catalog::from_json(text).unwrap_err().to_string()
}

fn error_of_provider(row: &str) -> String {
    error(&format!(r#"{{"providers":[{{"id":"ok",{GOOD}}},{row}]}}"#))
}

#[test]
fn the_default_catalog_is_the_recorded_one() {
    let recorded = include_str!("../../../tests/fixtures/catalog.json");
    let (recorded, default) = (Catalog::from_json(recorded).unwrap(), Catalog::default());
    assert_eq!(recorded.providers, default.providers);
    assert_eq!((recorded.source(), recorded.backend()), (default.source(), default.backend()));
    assert_eq!(recorded.freshness().get(), "null");
}

#[test]
fn what_is_left_out_gets_the_value_of_the_server() {
    let catalog = Catalog::from_json(&format!(
        r#"{{"providers":[{{"id":"a",{GOOD}}},{{"id":"b","catalog_listing":"featured",{GOOD}}}],"catalog_freshness":{{"z":1,"a":2}}}}"#
    ))
    .unwrap();
    let [a, b] = catalog.providers() else { panic!("two providers") };
    assert_eq!((a.display_name.as_str(), a.listing.as_str(), a.is_listed()), ("a", "organic", false));
    assert_eq!(a.placement_disclosure, "Metrics only; no paid placement.");
    assert_eq!(a.revenue_captured_usd, None);
    assert!(b.is_listed());
    assert_eq!(
        b.placement_disclosure,
        "Paid catalog placement. Routing scores still use the same published metrics."
    );
    assert_eq!(catalog.freshness().get(), r#"{"z":1,"a":2}"#);
    assert!(!catalog.is_live() && !catalog.has_backend());
}

#[test]
fn whole_numbers_come_first_as_keys_of_a_javascript_object_do() {
    let rows: Vec<String> = ["b", "10", "07", "9", "a", "4294967295", "0"]
        .iter()
        .map(|id| format!(r#"{{"id":"{id}",{GOOD}}}"#))
        .collect();
    let catalog = Catalog::from_json(&format!(r#"{{"providers":[{}]}}"#, rows.join(","))).unwrap();
    let ids: Vec<&str> = catalog.providers().iter().map(|provider| provider.id.as_str()).collect();
    assert_eq!(ids, ["0", "9", "10", "b", "07", "a", "4294967295"]);
}

#[test]
fn a_text_that_is_not_json_is_refused_with_its_line_and_column() {
    assert_eq!(
        error("{\n  \"providers\": [,]\n}"),
        "the catalog is not JSON: expected value at line 2, column 17"
    );
    assert_eq!(error(""), "the catalog is not JSON: EOF while parsing a value at line 1, column 0");
    assert!(error("{} {}").starts_with("the catalog is not JSON: trailing characters"));
}

#[test]
fn a_catalog_without_providers_is_refused() {
    let none = "the catalog has no providers; give it at least one in the list `providers`";
    for text in ["{}", r#"{"providers":null}"#, r#"{"providers":[]}"#] {
        assert_eq!(error(text), none);
    }
    assert_eq!(error("[]"), "the catalog must be an object with a list `providers`, not a list");
    assert_eq!(error(r#"{"providers":{}}"#), "the catalog's `providers` must be a list, not an object");
    assert_eq!(error(r#"{"version":2}"#), "the catalog's `version` must be 1, the only one there is, not 2");
}

#[test]
fn a_wrong_provider_is_named_by_its_place_and_id() {
    for (row, expected) in [
        ("5", "provider 2 must be an object, not 5"),
        ("{}", "provider 2 lacks `id`, which must be a text that is not empty"),
        (r#"{"id":7}"#, "provider 2: `id` must be a text that is not empty, not 7"),
        (r#"{"id":" "}"#, "provider 2: `id` must be a text that is not empty, not \" \""),
        (r#"{"id":"x"}"#, "provider 2 (`x`) lacks `p99_latency_ms`, which must be a number, 0 or more"),
        (
            r#"{"id":"x","p99_latency_ms":-1}"#,
            "provider 2 (`x`): `p99_latency_ms` must be a number, 0 or more, not -1",
        ),
        (
            r#"{"id":"x","p99_latency_ms":1e999}"#,
            "provider 2 (`x`): `p99_latency_ms` must be a number, 0 or more, not 1e999",
        ),
        (
            r#"{"id":"x","p99_latency_ms":1,"cost_per_1m_dims_usd":0,"success_rate_last_24h":98.2}"#,
            "provider 2 (`x`): `success_rate_last_24h` must be a number from 0 to 1, not 98.2",
        ),
        (
            r#"{"id":"x","p99_latency_ms":"12"}"#,
            "provider 2 (`x`): `p99_latency_ms` must be a number, 0 or more, not \"12\"",
        ),
    ] {
        assert_eq!(error_of_provider(row), expected);
    }
    assert_eq!(
        error_of_provider(&format!(r#"{{"id":"ok",{GOOD}}}"#)),
        "providers 1 and 2 have the same id `ok`; ids must be unique"
    );
}
