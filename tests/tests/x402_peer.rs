//! The open rail against the servers of the reference implementations themselves, on loopback. It needs Node, so it is no
//! part of the other tests: `cargo xtask x402-peer` installs the packages and starts it.

use std::collections::BTreeSet;

use amply_sdk::{Store, Usd};
use amply_tests::paying::{address, outcome, signing_at, states, usd};
use amply_tests::peer::Peer;

const PAY_TO: &str = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";

#[tokio::test]
#[ignore = "needs Node; `cargo xtask x402-peer` runs it"]
async fn each_route_is_paid_for_once() {
    for version in [1, 2] {
        let (peer, store) = (Peer::start(), Store::in_memory());
        let client = signing_at(peer.origin(version), &store).build().unwrap();
        for _ in 0..3 {
            let route = client.route_task("store 1M vectors").await.unwrap();
            assert_eq!(
                (route.recommended.as_str(), route.meta().paid_usd()),
                ("qdrant", Some(usd("0.01"))),
                "version {version}"
            );
        }
        let seen = peer.seen().await;
        assert_eq!((seen.settled.len(), seen.runs, seen.payments.len()), (3, 3, 3), "version {version}");
        assert_eq!(seen.refused, [""; 0], "version {version}");
        for settled in &seen.settled {
            assert_eq!(
                (settled.from.as_str(), settled.to.as_str(), settled.value.as_str()),
                (&*address().to_string(), PAY_TO, "10000")
            );
        }
        let payments = store.payments().list().await.unwrap();
        let booked: BTreeSet<String> =
            payments.iter().map(|payment| payment.open.as_ref().unwrap().nonce.clone()).collect();
        assert_eq!(booked, seen.settled.into_iter().map(|settled| settled.nonce).collect());
        for payment in payments {
            let open = payment.open.unwrap();
            // The facilitator names a transaction after the nonce.
            assert_eq!((payment.state.as_str(), open.transaction), ("settled", Some(open.nonce)));
        }
    }
}

/// What the servers may do with a payment: what the caller is told, what the ledger says, how often the payment was taken and
/// how often it was sent.
#[tokio::test]
#[ignore = "needs Node; `cargo xtask x402-peer` runs it"]
async fn whatever_becomes_of_a_payment_it_is_one() {
    for (version, mode, told, state, settled, sent) in [
        (1, "fails", "payment_unknown", "unknown", 0, 2),
        (2, "fails", "payment_unknown", "unknown", 0, 2),
        (1, "has no funds", "payment_failed", "rejected", 0, 1),
        (2, "has no funds", "payment_failed", "rejected", 0, 1),
        (1, "handler fails", "payment_unknown", "unknown", 0, 2),
        (2, "handler fails", "payment_unknown", "unknown", 0, 2),
        // The second time, version 2 says that the nonce was used; version 1 says nothing that would prove it.
        (1, "settles and does not say so", "payment_unknown", "unknown", 1, 2),
        (2, "settles and does not say so", "payment_not_applied", "settled_not_applied", 1, 2),
    ] {
        let (peer, store) = (Peer::start(), Store::in_memory());
        peer.mode(mode).await;
        let client = signing_at(peer.origin(version), &store).build().unwrap();
        let what = format!("version {version} {mode}");
        assert_eq!(outcome(&client).await, told, "{what}");
        assert_eq!(states(&store).await, [state], "{what}");
        let seen = peer.seen().await;
        assert_eq!((seen.settled.len(), seen.payments.len()), (settled, sent), "{what}");
        assert!(
            seen.payments.iter().all(|payment| payment == &seen.payments[0]),
            "{what}: a second signature"
        );
    }
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask x402-peer` runs it"]
async fn a_payment_that_somebody_sends_again_is_refused_and_taken_once() {
    for version in [1, 2] {
        let (peer, store) = (Peer::start(), Store::in_memory());
        let client = signing_at(peer.origin(version), &store).build().unwrap();
        assert_eq!(outcome(&client).await, "answer");
        assert_eq!(peer.replay(version).await, 402, "version {version}");
        let seen = peer.seen().await;
        assert_eq!((seen.settled.len(), seen.payments.len()), (1, 2), "version {version}");
    }
}

#[tokio::test]
#[ignore = "needs Node; `cargo xtask x402-peer` runs it"]
async fn what_is_above_the_cap_is_not_signed() {
    for version in [1, 2] {
        let (peer, store) = (Peer::start(), Store::in_memory());
        let dear = format!("{}/dear/api/v1", peer.origin(version));
        let client = signing_at(&dear, &store).build().unwrap();
        assert_eq!(outcome(&client).await, "spend_limit", "version {version}");
        assert_eq!(states(&store).await, [""; 0]);
        let seen = peer.seen().await;
        assert_eq!((seen.payments.len(), seen.verified, seen.settles), (0, 0, 0), "version {version}");

        // It is what it costs that kept it from being paid.
        let policy = amply_sdk::SpendPolicy::default().per_request(Usd::dollars(5)).per_day(Usd::dollars(5));
        let richer = signing_at(&dear, &store).spend_policy(policy.per_process_only()).build().unwrap();
        assert_eq!(outcome(&richer).await, "answer", "version {version}");
        let seen = peer.seen().await;
        assert_eq!((seen.settled.len(), seen.settled[0].value.as_str()), (1, "5000000"), "version {version}");
    }
}
