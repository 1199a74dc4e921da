use super::*;
use crate::validate::Filter;

/// id, p99, cost, success 24 h, win rate.
type Row = (&'static str, f64, f64, f64, f64);

fn catalog(rows: &[Row]) -> Catalog {
    let providers: Vec<String> = rows
        .iter()
        .map(|(id, p99, cost, success, win)| {
            format!(
                r#"{{"id":"{id}","display_name":"{}","p99_latency_ms":{p99},"cost_per_1m_dims_usd":{cost},"success_rate_last_24h":{success},"success_rate_last_7d":0.9,"win_rate":{win}}}"#,
                id.to_uppercase()
            )
        })
        .collect();
    Catalog::from_json(&format!(r#"{{"providers":[{}]}}"#, providers.join(","))).unwrap()
}

fn input() -> RouteInput {
    RouteInput::of_task("x")
}

#[test]
fn weights_are_normalised_in_the_order_of_the_server() {
    let default = Weights::of(Workload::Hybrid, Filter::Medium);
    assert_eq!((default.success, default.latency), (0.400_000_000_000_000_1, 0.300_000_000_000_000_04));
    assert_eq!((default.cost, default.reliability), (0.200_000_000_000_000_04, 0.100_000_000_000_000_02));
    let insert_low = Weights::of(Workload::InsertHeavy, Filter::Low);
    assert_eq!(insert_low.success, 0.352_047_433_759_496);
    assert_eq!(insert_low.latency, 0.375_208_449_138_410_2);
    assert_eq!(insert_low.cost, 0.180_100_055_586_436_94);
    assert_eq!(insert_low.reliability, 0.092_644_061_515_656_84);
}

#[test]
fn equal_figures_over_the_whole_catalog_count_as_best() {
    let catalog = catalog(&[("a", 10.0, 0.3, 0.9, 0.1), ("b", 10.0, 0.3, 0.8, 0.1)]);
    let answer = recommend(&catalog, &input()).unwrap();
    assert!(
        answer.scored.iter().all(|scored| scored.components.latency == 1.0 && scored.components.cost == 1.0)
    );
}

#[test]
fn a_penalty_needs_strictly_more_than_the_limit_and_zero_is_no_limit() {
    let catalog = catalog(&[("a", 10.0, 0.5, 0.9, 0.1), ("b", 30.0, 1.0, 0.9, 0.1)]);
    let components = |budget_usd, latency_target_ms| {
        let answer = recommend(&catalog, &RouteInput { budget_usd, latency_target_ms, ..input() }).unwrap();
        (answer.scored[0].components.latency, answer.scored[0].components.cost)
    };
    assert_eq!(components(0.01, 10.0 / 3.0), (1.0, 1.0));
    assert_eq!(components(0.009_999, 3.333), (0.9, 0.85));
    assert_eq!(components(1e-300, 1e-300), (0.9, 0.85));
    assert_eq!(components(0.0, 0.0), (1.0, 1.0));
    assert_eq!(components(f64::INFINITY, f64::INFINITY), (1.0, 1.0));
}

#[test]
fn the_unrounded_score_decides_and_of_equals_the_earlier_wins() {
    let close = catalog(&[("a", 10.0, 0.3, 0.9, 0.1), ("b", 10.0, 0.3, 0.900_000_000_000_1, 0.1)]);
    assert_eq!(recommend(&close, &input()).unwrap().best.provider.id, "b");
    let equal = catalog(&[("b", 10.0, 0.3, 0.9, 0.1), ("a", 10.0, 0.3, 0.9, 0.1)]);
    assert_eq!(recommend(&equal, &input()).unwrap().best.provider.id, "b");
}

#[test]
fn the_reason_names_at_most_two_things_in_which_the_runner_up_is_worse() {
    let why = |rows: &[Row], input: &RouteInput| recommend(&catalog(rows), input).unwrap().why;
    assert_eq!(
        why(&[("a", 10.0, 0.3, 0.9825, 0.1), ("b", 12.5, 1e-7, 0.9, 0.1)], &input()),
        "Top composite score for hybrid vector workloads (p99 10 ms, $0.3/1M dims, 98.3% success last 24h). \
         vs runner-up B: slower p99 (12.5 ms vs 10 ms); lower 24h success (90.0% vs 98.3%)."
    );
    assert_eq!(
        why(
            &[("a", 10.0, 0.0, 0.95, 0.1), ("b", 12.0, 0.000_001, 0.9, 0.1)],
            &RouteInput { dimension: Some(768.0), workload: Workload::InsertHeavy, ..input() }
        ),
        "Top composite score for 768-dim insert-heavy vector workloads (p99 10 ms, $0/1M dims, 95.0% success last 24h). \
         vs runner-up B: slower p99 (12 ms vs 10 ms); higher $/1M dims ($0.000001 vs $0)."
    );
    let alone = "Top composite score for query-heavy vector workloads (p99 10 ms, $1e-7/1M dims, 100.0% success last 24h).";
    let query = RouteInput { workload: Workload::QueryHeavy, ..input() };
    assert_eq!(why(&[("a", 10.0, 1e-7, 1.0, 0.1)], &query), alone);
    assert_eq!(why(&[("a", 10.0, 1e-7, 1.0, 0.1), ("b", 10.0, 1e-7, 1.0, 0.05)], &query), alone);
}

#[test]
fn the_quote_is_capped_and_never_free() {
    let cheap = catalog(&[("a", 10.0, 0.0, 0.9, 0.1)]);
    let small = RouteInput { task: "store 1".into(), dimension: Some(1.0), ..input() };
    let answer = recommend(&cheap, &small).unwrap();
    assert_eq!(
        (answer.estimated_cost_usd, answer.cost_quote_dim_units, answer.dim_units_estimate),
        (0.0001, 650.0, 650.0)
    );

    let unrounded =
        RouteInput { task: "12k".into(), dimension: Some(1.0), workload: Workload::InsertHeavy, ..input() };
    assert_eq!(recommend(&cheap, &unrounded).unwrap().cost_quote_dim_units, 13_200.000_000_000_002);
    assert_eq!(recommend(&cheap, &unrounded).unwrap().dim_units_estimate, 13_200.0);
}

#[test]
fn an_absurd_number_of_vectors_overflows_the_estimate_and_not_the_quote() {
    let catalog = catalog(&[("a", 10.0, 0.2, 0.9, 0.1)]);
    let units = |digits: usize| {
        let task = format!("store 1{}", "0".repeat(digits));
        let answer = recommend(&catalog, &RouteInput { task, dimension: Some(1.0), ..input() }).unwrap();
        (answer.dim_units_estimate.is_finite(), answer.cost_quote_dim_units)
    };
    assert_eq!(units(306), (true, 25_000.0));
    assert_eq!(units(308), (false, 25_000.0));
}
