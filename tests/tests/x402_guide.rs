//! `docs/x402.md`: what is refused, row by row, and what its console blocks show.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use amply_sandbox::{Challenge, Fault, Offering, OpenPayments, Sandbox, Settling};
use amply_sdk::{Error, Refusal, Store};
use amply_tests::paying::{asking_for, outcome, paid_requests, refusal, signing, states};
use amply_tests::{built, root, table, transcript};
use serde_json::json;

const MAINNET_USDC: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const STRANGER: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";

#[test]
fn the_guide_shows_what_a_terminal_shows() {
    transcript::check_markdown(&root().join("docs/x402.md"));
}

/// Has a 402 refused for this reason; how many calls go before.
fn arrange(code: &str, sandbox: &Sandbox) -> usize {
    let control = sandbox.control();
    let offering = match code {
        "malformed_header" => {
            control.fault(Fault::on("/route").status(402).header("PAYMENT-REQUIRED", "%%%"));
            return 0;
        }
        "bad_expiry" => {
            control.challenge(Challenge::new().set("/x402/expires_at", "soon"));
            return 0;
        }
        "expired" => {
            control.challenge(Challenge::new().expired());
            return 0;
        }
        "origin_keeps_rejecting" => {
            control.settling(Settling::refused("insufficient_funds"));
            return 3;
        }
        // The first call takes two answers.
        "foreign_pay_to" => {
            control.offering(Offering::new().pay_to(STRANGER).nth(3));
            return 1;
        }
        "unknown_version" => Offering::new().set_around("/x402Version", 3),
        "malformed_offers" => Offering::new().set_around("/accepts", json!({})),
        "too_many_offers" => Offering::new().set_around("/accepts", json!(vec![0; 65])),
        "malformed_offer" => Offering::new().set_around("/accepts", json!(["no offer"])),
        "no_amount" => Offering::new().set_around("/accepts", json!([])),
        "unknown_scheme" => Offering::new().set("/scheme", "upto"),
        "unsupported_transfer_method" => Offering::new().set("/extra/assetTransferMethod", "permit2"),
        "unsupported_payment_flow" => Offering::new().upfront(),
        "unknown_network" => Offering::new().set("/network", "solana:mainnet"),
        "network_not_allowed" => Offering::new().set("/network", "eip155:8453"),
        "unknown_asset" => Offering::new().asset(MAINNET_USDC),
        "domain_mismatch" => Offering::new().set("/extra/name", "Tether"),
        "bad_amount" => Offering::new().amount("1000999.9999999999"),
        "bad_pay_to" => Offering::new().pay_to("0x90f79BF6EB2c4f870365E785982E1f101E93b906"),
        "bad_timeout" => Offering::new().set("/maxTimeoutSeconds", 601),
        "foreign_resource" => Offering::new().resource("https://evil.example/route"),
        other => panic!("`{other}` is not known"),
    };
    control.offering(offering);
    0
}

#[tokio::test]
async fn what_is_refused_is_refused_by_the_code_that_the_guide_says() {
    let rows = table("docs/x402.md", "What is refused");
    assert_eq!(rows.len(), 21);
    for row in rows {
        let [code, _] = row.as_slice() else { panic!("{row:?}") };
        let payments = match code.as_str() {
            "bad_expiry" | "expired" => OpenPayments::in_amply_object(),
            _ => OpenPayments::v2(),
        };
        let sandbox = asking_for(payments).await;
        let before = arrange(code, &sandbox);
        let store = Store::in_memory();
        let client = built(signing(&sandbox, &store));
        for _ in 0..before {
            outcome(&client).await;
        }
        let (sent, written) = (paid_requests(&sandbox), states(&store).await);
        let error = refusal(&client).await;
        let Error::PaymentRefused { reasons, .. } = &error else { panic!("{code}: {error}") };
        let codes: Vec<&str> = reasons.iter().map(Refusal::code).collect();
        assert_eq!(codes, [code], "{error}");
        assert!(!error.may_have_been_charged());
        assert_eq!((paid_requests(&sandbox), states(&store).await), (sent, written), "{code}");
    }
}
