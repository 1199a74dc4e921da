//! Where offers are found, and which one is taken.

use serde_json::{Value, json};

use super::super::tests::{offers, terms};
use super::*;

const PAY_TO: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
const OTHER: &str = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
const BASE_USDC: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const SEPOLIA_USDC: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";

fn v1() -> Value {
    json!({
        "scheme": "exact", "network": "base-sepolia", "maxAmountRequired": "10000", "asset": SEPOLIA_USDC,
        "payTo": PAY_TO, "maxTimeoutSeconds": 60, "resource": "https://api.example.com/api/v1/route",
    })
}

fn v2() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": "10000", "asset": SEPOLIA_USDC,
        "payTo": PAY_TO, "maxTimeoutSeconds": 60,
    })
}

/// An offer with some of its fields changed.
fn with(mut offer: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        offer[name] = value.clone();
    }
    offer
}

fn two(accepts: Value) -> OfferSet {
    offers(Version::Two, &json!({"x402Version": 2, "accepts": accepts}).to_string())
}

fn codes(none: &NoOffer) -> Vec<&'static str> {
    none.refused.iter().map(|offer| offer.reason.code()).collect()
}

/// The reason for which the only offer is refused.
fn refusal(set: &OfferSet, terms: &Terms<'_>) -> &'static str {
    codes(&set.choose(terms).unwrap_err())[0]
}

fn body(json: Value) -> Result<Option<OfferSet>, ChallengeRefusal> {
    OfferSet::read(&HeaderMap::new(), &json.to_string().into())
}

fn in_header(value: &str) -> Result<Option<OfferSet>, ChallengeRefusal> {
    let headers =
        HeaderMap::from_iter([(http::HeaderName::from_static(header::OFFERS), value.parse().unwrap())]);
    OfferSet::read(&headers, &Bytes::from_static(b"{}"))
}

fn challenge(changes: Value) -> Value {
    json!({"error": "insufficient_balance", "x402": with(json!({"spec": "amply.x402/1"}), changes)})
}

#[test]
fn the_header_goes_before_the_body() {
    let offer = json!({"x402Version": 2, "accepts": [v2()]}).to_string();
    let headers = HeaderMap::from_iter([(
        http::HeaderName::from_static(header::OFFERS),
        header::encode(&offer).unwrap(),
    )]);
    for body in [json!({"x402Version": 1, "accepts": [v1()]}), challenge(json!({"accepts": [v1()]}))] {
        let set = OfferSet::read(&headers, &body.to_string().into()).unwrap().unwrap();
        assert_eq!(set.choose(&terms()).unwrap().version, Version::Two);
    }
}

#[test]
fn amplys_own_challenge_may_offer_both_versions() {
    let mut accepts = vec![v1(), v2()];
    for (index, version) in [(0, Version::One), (1, Version::Two)] {
        let set = body(challenge(json!({"accepts": accepts}))).unwrap().unwrap();
        let chosen = set.choose(&terms()).unwrap();
        assert_eq!(chosen.version, version);
        accepts[index]["scheme"] = json!("upto");
    }
}

#[test]
fn the_resource_beside_offers_of_version_2_is_checked_and_echoed_in_amplys_own_challenge_too() {
    for (url, taken) in [("https://api.example.com/x", true), ("https://evil.example/x", false)] {
        let set = body(challenge(json!({"accepts": [v2()], "resource": {"url": url}}))).unwrap().unwrap();
        match set.choose(&terms()) {
            Ok(chosen) => assert!(taken && chosen.resource.unwrap().text().contains(url)),
            Err(none) => assert!(!taken && codes(&none) == ["foreign_resource"]),
        }
    }
}

#[test]
fn an_entry_of_amplys_own_challenge_that_is_of_neither_version_is_refused_alone() {
    let no_amount = json!({"scheme": "exact", "network": "eip155:84532"});
    let no_caip2 = with(v2(), json!({"network": "base-sepolia"}));
    let set = body(challenge(json!({"accepts": [no_amount, no_caip2]}))).unwrap().unwrap();
    assert_eq!(codes(&set.choose(&terms()).unwrap_err()), ["malformed_offer"; 2]);
}

#[test]
fn a_402_without_open_offers_has_none() {
    for json in [
        json!({"error": "insufficient_balance", "shortfall_usd": 0.01}),
        json!({}),
        json!([]),
        json!({"x402Version": 2}),
        json!({"accepts": [v1()]}),
        challenge(json!({})),
        challenge(json!({"spec": "amply.x402/2", "accepts": [v1()]})),
        challenge(json!({"spec": 1, "accepts": [v1()]})),
        json!({"x402": "amply.x402/1"}),
    ] {
        assert!(body(json.clone()).unwrap().is_none(), "{json}");
    }
    for text in ["", "<html>Payment required</html>", "{\"x402Version\":1,"] {
        assert!(OfferSet::read(&HeaderMap::new(), &text.into()).unwrap().is_none(), "{text}");
    }
}

#[test]
fn a_version_that_is_not_known_is_not_paid() {
    for version in [json!(0), json!(3), json!("1"), json!(1.5)] {
        let error = body(json!({"x402Version": version, "accepts": [v1()]})).unwrap_err();
        assert_eq!(error.code(), "unknown_version");
    }
    for version in [json!(1), json!(3), json!("2"), json!(null)] {
        let offers = json!({"x402Version": version, "accepts": [v2()]}).to_string();
        let error = in_header(header::encode(&offers).unwrap().to_str().unwrap()).unwrap_err();
        assert_eq!(error.code(), "unknown_version");
    }
}

#[test]
fn a_header_that_cannot_be_read_is_not_replaced_by_the_body() {
    let url_safe = "eyJhIjoi_-A_In0=";
    for value in ["", "not base64!", "e30", "e30=\te30=", url_safe, &"A".repeat(64 * 1024 + 4), "W10="] {
        let headers =
            HeaderMap::from_iter([(http::HeaderName::from_static(header::OFFERS), value.parse().unwrap())]);
        let body = json!({"x402Version": 1, "accepts": [v1()]}).to_string().into();
        let error = OfferSet::read(&headers, &body).unwrap_err();
        // `e30` is an empty object: it can be read, and has no version.
        let code = if value == "e30" { "unknown_version" } else { "malformed_header" };
        assert_eq!(error.code(), code, "{} bytes", value.len());
    }
}

#[test]
fn offers_that_are_no_list_are_refused_as_a_whole() {
    for accepts in [json!({"0": v1()}), json!("[]"), json!(null), json!(1)] {
        let error = body(json!({"x402Version": 1, "accepts": accepts})).unwrap_err();
        assert_eq!(error, ChallengeRefusal::MalformedOffers);
        let text = json!({"x402Version": 2, "accepts": accepts}).to_string();
        let error = in_header(header::encode(&text).unwrap().to_str().unwrap()).unwrap_err();
        assert_eq!(error, ChallengeRefusal::MalformedOffers);
    }
    assert!(two(json!([])).choose(&terms()).unwrap_err().refused.is_empty());
}

#[test]
fn an_entry_that_cannot_be_read_does_not_cost_the_one_beside_it() {
    let set = two(json!([null, 7, "offer", [], {}, with(v2(), json!({"extra": "USDC"})), v2()]));
    let chosen = set.choose(&terms()).unwrap();
    assert_eq!(chosen.offer.parse::<Value>().unwrap(), v2());
    let strict = Terms { networks: &[], ..terms() };
    assert_eq!(
        codes(&set.choose(&strict).unwrap_err()),
        [
            "malformed_offer",
            "malformed_offer",
            "malformed_offer",
            "malformed_offer",
            "unknown_scheme",
            "malformed_offer",
            "network_not_allowed"
        ]
    );
}

#[test]
fn the_offer_and_what_goes_with_it_are_kept_as_they_came() {
    let offer = r#"{"payTo":"0x209693bc6afc0c5328ba36faf03c514ef312287c", "new":1.50,"é":"\u00e9","scheme":"exact","network":"eip155:84532","amount":"10000","asset":"0x036CBD53842C5426634E7929541EC2318F3DCF7E","maxTimeoutSeconds":60}"#;
    let resource = r#"{ "url":"https:\/\/api.example.com\/api" }"#;
    let extensions = r#"{"b":1e2,"a":{}}"#;
    let text =
        format!(r#"{{"x402Version":2,"accepts":[{offer}],"resource":{resource},"extensions":{extensions}}}"#);
    let chosen = offers(Version::Two, &text).choose(&terms()).unwrap();
    assert_eq!(chosen.offer.text(), offer);
    assert_eq!(chosen.resource.unwrap().text(), resource);
    assert_eq!(chosen.extensions.unwrap().text(), extensions);
}

#[test]
fn the_policys_first_network_goes_before_a_lower_price() {
    let base = with(v2(), json!({"network": "eip155:8453", "asset": BASE_USDC, "amount": "20000"}));
    let set = two(json!([v2(), base]));
    assert_eq!(set.choose(&terms()).unwrap().network(), Network::BASE);
    let other_way = Terms { networks: &[Network::BASE_SEPOLIA, Network::BASE], ..terms() };
    assert_eq!(set.choose(&other_way).unwrap().network(), Network::BASE_SEPOLIA);
}

#[test]
fn on_one_network_the_lowest_price_is_taken_and_of_equal_ones_the_first() {
    let set = two(json!([
        with(v2(), json!({"amount": "9999", "mark": "a"})),
        with(v2(), json!({"amount": "900", "mark": "b"})),
        with(v2(), json!({"amount": "900", "mark": "c"})),
        with(v2(), json!({"amount": "1000", "mark": "d"})),
    ]));
    let chosen = set.choose(&terms()).unwrap();
    assert_eq!(chosen.offer.parse::<Value>().unwrap()["mark"], "b");
    assert_eq!((chosen.nano_usd, chosen.value), (900_000, U256::from(900)));
}

#[test]
fn without_a_network_in_the_policy_nothing_is_paid() {
    assert_eq!(refusal(&two(json!([v2()])), &Terms { networks: &[], ..terms() }), "network_not_allowed");
}

#[test]
fn a_price_above_what_is_left_is_refused_with_the_amounts() {
    let left = Terms { remaining_nano_usd: 9_999_999, ..terms() };
    let none = two(json!([v2()])).choose(&left).unwrap_err();
    assert_eq!(codes(&none), ["above_remaining_cap"]);
    let reason = none.by_caps_alone().unwrap().to_string();
    assert_eq!(reason, "it costs 0.01 USD, and the policy's caps leave 0.009999999 USD");
    assert!(two(json!([v2()])).choose(&Terms { remaining_nano_usd: 10_000_000, ..terms() }).is_ok());
}

#[test]
fn caps_are_what_stands_in_the_way_only_if_every_other_rule_holds() {
    let dear = json!({"amount": "50001"});
    let dear_and_foreign = with(with(v2(), dear.clone()), json!({"payTo": "0x0"}));
    let set = two(json!([dear_and_foreign]));
    let none = set.choose(&terms()).unwrap_err();
    assert_eq!((codes(&none), none.by_caps_alone()), (vec!["above_cap"], None));

    let set = two(json!([dear_and_foreign, with(v2(), dear)]));
    assert!(set.choose(&terms()).unwrap_err().by_caps_alone().is_some());
}

#[test]
fn a_price_that_is_too_large_to_count_is_above_any_cap() {
    let any = Terms { per_payment_nano_usd: u64::MAX, ..terms() };
    let none =
        two(json!([with(v2(), json!({"amount": U256::ZERO.to_string().replace('0', &"9".repeat(70))}))]))
            .choose(&any)
            .unwrap_err();
    assert_eq!(codes(&none), ["above_cap"]);
    assert!(none.by_caps_alone().unwrap().to_string().starts_with("it costs more than can be counted"));
}

#[test]
fn upfront_is_taken_only_where_the_policy_says_so_and_escrow_never() {
    let allowed = Terms { allow_upfront: true, ..terms() };
    let flow = |flow| two(json!([with(v2(), json!({"extra": {"paymentFlow": flow}}))]));
    assert!(flow(json!("upfront")).choose(&allowed).is_ok());
    assert_eq!(refusal(&flow(json!("upfront")), &terms()), "unsupported_payment_flow");
    for other in [json!("escrow"), json!(true), json!("")] {
        assert_eq!(refusal(&flow(other), &allowed), "unsupported_payment_flow");
    }
    assert!(flow(json!(null)).choose(&terms()).is_ok());
}

#[test]
fn other_ways_to_transfer_are_refused() {
    for method in [json!("permit2"), json!("erc7710"), json!("EIP3009"), json!(1)] {
        let set = two(json!([with(v2(), json!({"extra": {"assetTransferMethod": method}}))]));
        assert_eq!(refusal(&set, &terms()), "unsupported_transfer_method");
    }
}

#[test]
fn a_token_that_the_policy_names_is_paid_by_the_policys_name_for_it() {
    let address: Address = "0x1111111111111111111111111111111111111111".parse().unwrap();
    let named = [Asset::at_par(Network::BASE_SEPOLIA, address, "Own Dollar", "7", 18).unwrap()];
    let terms = Terms { extra_assets: &named, ..terms() };
    let offer = with(v2(), json!({"asset": address.to_string(), "amount": "10000000000000001"}));
    let chosen = two(json!([offer])).choose(&terms).unwrap();
    assert_eq!((chosen.asset.domain().name, chosen.nano_usd), ("Own Dollar", 10_000_001));

    let renamed = with(offer, json!({"extra": {"name": "USDC", "version": "7"}}));
    assert_eq!(refusal(&two(json!([renamed])), &terms), "domain_mismatch");
    let elsewhere = with(v2(), json!({"asset": address.to_string(), "network": "eip155:8453"}));
    assert_eq!(refusal(&two(json!([elsewhere])), &terms), "unknown_asset");
}

#[test]
fn a_version_in_the_domain_that_is_a_number_is_not_the_tokens() {
    let set = two(json!([with(v2(), json!({"extra": {"name": "USDC", "version": 2}}))]));
    assert_eq!(refusal(&set, &terms()), "domain_mismatch");
}

#[test]
fn a_pin_holds_for_its_network_and_there_may_be_several() {
    let [first, other]: [Address; 2] = [PAY_TO, OTHER].map(|address| address.parse().unwrap());
    let set = two(json!([v2()]));
    let choose = |pins: &[_]| set.choose(&Terms { pins, ..terms() });
    assert!(choose(&[(Network::BASE_SEPOLIA, other), (Network::BASE_SEPOLIA, first)]).is_ok());
    assert!(choose(&[(Network::BASE, other)]).is_ok());
    let none = choose(&[(Network::BASE, first), (Network::BASE_SEPOLIA, other)]).unwrap_err();
    assert_eq!(codes(&none), ["foreign_pay_to"]);
    assert!(none.refused[0].reason.to_string().contains(PAY_TO));
}

#[test]
fn a_timeout_is_a_whole_number_within_the_policy() {
    for (timeout, taken) in [
        (json!(10), true),
        (json!(600), true),
        (json!(9), false),
        (json!(601), false),
        (json!(60.0), false),
        (json!(null), false),
        (json!([60]), false),
        (json!(u64::MAX), false),
    ] {
        let set = two(json!([with(v2(), json!({"maxTimeoutSeconds": timeout}))]));
        match set.choose(&terms()) {
            Ok(chosen) => assert!(taken && json!(chosen.timeout_seconds) == timeout),
            Err(none) => assert!(!taken && codes(&none) == ["bad_timeout"], "{timeout}"),
        }
    }
    let short = Terms { timeout_seconds: 10..=30, ..terms() };
    assert_eq!(refusal(&two(json!([v2()])), &short), "bad_timeout");
}

#[test]
fn a_resource_must_be_on_the_host_that_was_asked_and_may_differ_in_scheme_and_port() {
    let v1_resource = |url: &Value| {
        offers(
            Version::One,
            &json!({"x402Version": 1, "accepts": [with(v1(), json!({"resource": url}))]}).to_string(),
        )
    };
    let v2_resource = |url: &Value| {
        let set = json!({"x402Version": 2, "accepts": [v2()], "resource": {"url": url}});
        offers(Version::Two, &set.to_string())
    };
    for (url, taken) in [
        (json!("https://api.example.com/api/v1/route"), true),
        (json!("http://api.example.com/"), true),
        (json!("https://API.example.com:8443/x?y"), true),
        (json!(null), true),
        (json!("https://evil.example/api.example.com"), false),
        (json!("https://api.example.com.evil.example/"), false),
        (json!("https://api.example.com@evil.example/"), false),
        (json!("ftp://api.example.com/"), false),
        (json!("/api/v1/route"), false),
        (json!("api.example.com"), false),
        (json!(""), false),
        (json!(1), false),
    ] {
        for set in [v1_resource(&url), v2_resource(&url)] {
            match set.choose(&terms()) {
                Ok(_) => assert!(taken, "{url}"),
                Err(none) => assert!(!taken && codes(&none) == ["foreign_resource"], "{url}"),
            }
        }
    }
    let set = json!({"x402Version": 2, "accepts": [v2()], "resource": "https://api.example.com/"});
    assert_eq!(refusal(&offers(Version::Two, &set.to_string()), &terms()), "foreign_resource");
}

#[test]
fn the_last_of_two_equal_fields_counts_as_it_does_for_the_server() {
    let offer = v2().to_string();
    let twice = offer.replacen('{', r#"{"amount":"1","#, 1);
    let chosen =
        offers(Version::Two, &format!(r#"{{"x402Version":2,"accepts":[{twice}]}}"#)).choose(&terms());
    assert_eq!(chosen.unwrap().value.to_string(), "10000");
}

#[test]
fn a_challenge_past_its_end_or_with_an_end_that_is_no_time_is_refused() {
    let ends = |at: Value| body(challenge(json!({"accepts": [v1()], "expires_at": at})));
    let now = humantime::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
    for (at, over) in [
        ("2026-01-01T00:00:01Z", false),
        ("2026-01-01T00:00:00.5+00:00", false),
        ("2026-01-01T00:00:00Z", true),
        ("2025-12-31T23:59:59Z", true),
    ] {
        let checked = ends(json!(at)).unwrap().unwrap().check_expiry(now);
        assert_eq!(checked.err(), over.then_some(ChallengeRefusal::Expired), "{at}");
    }
    for at in [json!("soon"), json!(1_767_225_600), json!(""), json!("2026-01-01Té0:00:00Z")] {
        assert_eq!(ends(at.clone()).unwrap_err().code(), "bad_expiry", "{at}");
    }
    assert_eq!(ends(json!(null)).unwrap().unwrap().check_expiry(now), Ok(()));
}

#[test]
fn a_servers_text_in_a_reason_stays_on_one_line_and_acts_on_no_terminal() {
    let set = two(json!([with(v2(), json!({"scheme": "a\n\u{1b}[31mb".to_owned() + &"c".repeat(500)}))]));
    let reason = set.choose(&terms()).unwrap_err().refused[0].reason.to_string();
    assert!(!reason.contains(['\n', '\u{1b}']) && reason.len() < 200, "{reason}");
}

#[test]
fn the_networks_that_are_offered_are_told_once_each_and_in_order_whatever_else_is_wrong() {
    let set = two(json!([
        with(v2(), json!({"network": "eip155:8453", "asset": "nothing", "amount": -1})),
        v2(),
        with(v2(), json!({"network": "solana:mainnet"})),
        "no offer",
        with(v2(), json!({"network": "eip155:8453"})),
        v1(),
    ]));
    assert_eq!(set.networks(), [Network::BASE, Network::BASE_SEPOLIA]);
    assert_eq!(two(json!([])).networks(), []);
    let accepts = json!([v1(), with(v2(), json!({"network": "eip155:137"}))]);
    let within = body(challenge(json!({"accepts": accepts}))).unwrap().unwrap();
    assert_eq!(within.networks(), [Network::BASE_SEPOLIA, Network::POLYGON]);
}

#[test]
fn more_offers_than_anybody_needs_are_refused_unread() {
    let offers = |count: usize| json!({"x402Version": 1, "accepts": vec![v1(); count]});
    assert!(body(offers(64)).unwrap().unwrap().choose(&terms()).is_ok());
    let many = format!(r#"{{"x402Version":1,"accepts":[{}0]}}"#, "0,".repeat(1_000_000));
    let in_amplys_own = challenge(json!({"accepts": vec![v2(); 65]}));
    let in_header = json!({"x402Version": 2, "accepts": vec![json!(0); 65]}).to_string();
    let in_header = HeaderMap::from_iter([(
        http::HeaderName::from_static(header::OFFERS),
        header::encode(&in_header).unwrap(),
    )]);
    for refused in [
        body(offers(65)),
        OfferSet::read(&HeaderMap::new(), &many.into()),
        body(in_amplys_own),
        OfferSet::read(&in_header, &Bytes::from_static(b"{}")),
    ] {
        let refusal = refused.unwrap_err();
        assert_eq!(refusal.code(), "too_many_offers");
        assert!(refusal.to_string().contains("more than 64"), "{refusal}");
    }
}
