use super::*;

fn usd(text: &str) -> NanoUsd {
    text.parse().unwrap()
}

fn top_up(wallets: &Wallets, key: &str, amount: &str, crediting: Crediting) -> Result<Receipt, TopUpRefusal> {
    let top_up = TopUp {
        principal_id: "p".to_owned(),
        amount: usd(amount),
        idempotency_key: key.to_owned(),
        via: Via::Service,
    };
    wallets.top_up(top_up, || crediting, || "1".to_owned())
}

#[test]
fn a_strict_debit_takes_the_price_or_nothing() {
    let wallets = Wallets::default();
    wallets.set_balance("p", usd("0.03"));
    assert_eq!(wallets.debit("p", usd("0.02"), true), Ok(()));
    assert_eq!(wallets.debit("p", usd("0.02"), true), Err(usd("0.01")));
    assert_eq!(wallets.balance("p"), usd("0.01"));
    assert_eq!(wallets.debit("p", usd("0.01"), true), Ok(()));
    assert_eq!(wallets.debit("p", usd("0.02"), false), Ok(()));
    assert_eq!((wallets.balance("p"), wallets.balance("q")), (usd("-0.02"), usd("0")));
}

#[test]
fn a_late_credit_counts_after_the_looks_it_was_set_for() {
    let wallets = Wallets::default();
    let receipt = top_up(&wallets, "a", "1", Crediting::as_asked().late(2)).unwrap();
    assert_eq!((receipt.balance, receipt.credited.as_str()), (usd("0"), "1"));
    assert_eq!(wallets.look("p"), usd("0"));
    assert_eq!(wallets.debit("p", usd("1"), true), Err(usd("0")));
    // Not a look:
    assert_eq!(wallets.balance("p"), usd("0"));
    assert_eq!(wallets.look("p"), usd("1"));
    assert_eq!(wallets.look("p"), usd("1"));
}

#[test]
fn a_wallet_that_cannot_hold_more_is_left_as_it_is() {
    let wallets = Wallets::default();
    wallets.set_balance("p", NanoUsd(i64::MAX));
    assert_eq!(top_up(&wallets, "a", "1", Crediting::as_asked()).map(|_| ()), Err(TopUpRefusal::TooMuch));
    assert!(wallets.credits().is_empty());
    wallets.set_balance("p", usd("0"));
    assert!(top_up(&wallets, "a", "1", Crediting::as_asked()).is_ok());
}

#[test]
fn nothing_that_is_credited_is_no_credit() {
    let wallets = Wallets::default();
    let receipt = top_up(&wallets, "a", "1", Crediting::nothing()).unwrap();
    assert_eq!((receipt.balance, receipt.credited.as_str()), (usd("0"), "1"));
    assert!(wallets.credits().is_empty());
}
