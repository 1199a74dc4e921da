use super::*;
use crate::{money::NanoUsd, proof::Hash};

fn served(principal_id: Option<&str>) -> Served {
    Served {
        principal_id: principal_id.map(str::to_owned),
        recommended: "qdrant".to_owned(),
        score: 0.5,
        task_hash: Hash::of("x"),
        charge: NanoUsd::default(),
        costs: Costs::default(),
        served_at: Timestamp(0),
    }
}

fn told(route_id: &str) -> Told {
    Told {
        route_id: route_id.to_owned(),
        verdict: Verdict::Outcome { success: true, actual_latency_ms: None, error_code: None },
        idempotency_key: None,
    }
}

const FIRST: Result<Receipt, NoSuchRoute> = Ok(Receipt { credits_awarded: 1, is_duplicate: false });
const AGAIN: Result<Receipt, NoSuchRoute> = Ok(Receipt { credits_awarded: 0, is_duplicate: true });

#[test]
fn a_route_is_reported_once_and_only_by_whom_it_was_for() {
    let outcomes = Outcomes::default();
    outcomes.served("a", served(Some("p")));
    outcomes.served("b", served(None));
    let report = |route_id, by| outcomes.report(told(route_id), by, Timestamp(0));
    assert_eq!([report("a", Some("q")), report("a", None), report("c", Some("p"))], [Err(NoSuchRoute); 3]);
    assert_eq!([report("a", Some("p")), report("a", Some("p"))], [FIRST, AGAIN]);
    assert_eq!(report("b", Some("p")), Err(NoSuchRoute));
    assert_eq!(report("b", None), Ok(Receipt { credits_awarded: 0, is_duplicate: false }));
    let seen: Vec<_> = outcomes.all().into_iter().map(|one| (one.route_id, one.times_received)).collect();
    assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    let telemetry = outcomes.last_24h(Timestamp(0));
    assert_eq!(telemetry, Telemetry { accepted: 2, duplicates: 1, not_found: 4 });
    assert_eq!(telemetry.all(), 7);
}

#[test]
fn what_is_remembered_has_a_bound_and_no_route_counts_twice_for_it() {
    let outcomes = Outcomes::default();
    let serve = |number: usize| outcomes.served(&number.to_string(), served(Some("p")));
    let report = |number: usize| outcomes.report(told(&number.to_string()), Some("p"), Timestamp(0));
    (0..REMEMBERED).for_each(serve);
    // The last one first, so that its report is the oldest when the route still is among the latest.
    assert_eq!(report(REMEMBERED - 1), FIRST);
    for number in 0..REMEMBERED - 1 {
        assert_eq!(report(number), FIRST);
    }
    serve(REMEMBERED);
    assert_eq!([report(REMEMBERED), report(0), report(1)], [FIRST, Err(NoSuchRoute), AGAIN]);
    assert_eq!(report(REMEMBERED - 1), AGAIN);

    let all = outcomes.all();
    assert_eq!((all.len(), all[0].route_id.as_str()), (REMEMBERED, "0"));
    assert_eq!((all[1].route_id.as_str(), all[1].times_received), ("1", 2));
    let books = outcomes.books();
    assert_eq!((books.routes.len(), books.order.len()), (REMEMBERED, REMEMBERED));
}
