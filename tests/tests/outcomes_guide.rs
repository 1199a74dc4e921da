//! `docs/outcomes.md`, what becomes of a report: the page is the table that drives this test.

use std::time::{Duration, Instant};

use amply_sandbox::{Fault, Sandbox};
use amply_sdk::{Client, Error, Outcome, Reported, Store, Ticket};
use amply_tests::reporting::client_of;
use amply_tests::{Refusing, TempFolder, table};

/// A server that lets it happen, always; `None` for no row of ours.
async fn server(what_happens: &str) -> Option<Sandbox> {
    let builder = Sandbox::builder();
    let builder = match what_happens {
        "there is no `/outcome` at the server"
        | "there is no `/outcome` at the server, and the provider is not known" => {
            builder.outcome_endpoint(false)
        }
        "the server lacks both endpoints" => builder.outcome_endpoint(false).route_outcome_endpoint(false),
        _ => builder,
    };
    let sandbox = builder.start().await.ok()?;
    let at = || Fault::on("/outcome").always();
    let fault = match what_happens {
        "400" => at().status(400),
        "408" => at().status(408),
        "200, and `received` is false" => at().status(200).body(serde_json::json!({"received": false})),
        "401" => at().status(401),
        "403" => at().status(403),
        "429" => at().status(429).code("rate_limited").header("retry-after", "600"),
        "500" => at().status(500),
        "the answer is no Amply answer" => at().html(200),
        "the answer is cut off" => at().truncate(5),
        "the server takes it"
        | "the route was reported before"
        | "there is no `/outcome` at the server"
        | "there is no `/outcome` at the server, and the provider is not known"
        | "the server lacks both endpoints"
        | "the server does not know the route"
        | "the route is another's"
        | "nobody answers for the server" => return Some(sandbox),
        _ => return None,
    };
    sandbox.control().fault(fault);
    Some(sandbox)
}

/// A ticket for a route as the row has it.
async fn ticket(what_happens: &str, sandbox: &Sandbox, client: &Client) -> Result<Ticket, Error> {
    let of_whom = match what_happens {
        // The operator's key is nobody's, and its routes are not this user's.
        "the route is another's" => {
            Client::builder().base_url(sandbox.url()).api_key(sandbox.server_key()).build()?
        }
        _ => client_of(sandbox).build()?,
    };
    let route = of_whom.route_task("store 1M vectors").await?;
    let id = route.route_id.clone().unwrap_or_default();
    match what_happens {
        "the server does not know the route" => client.ticket("no-such-route", Some("qdrant")),
        "there is no `/outcome` at the server, and the provider is not known" => client.ticket(&id, None),
        "the route was reported before" => {
            of_whom.track(route).report_outcome(Outcome::success()).await?;
            client.ticket(&id, Some("qdrant"))
        }
        _ => client.ticket(&id, Some("qdrant")),
    }
}

fn in_words(reported: &Result<Reported, Error>) -> String {
    match reported {
        Ok(reported) if reported.is_repeated() => "reported before".to_owned(),
        // The older endpoint says nothing of credits.
        Ok(reported) => match reported.credits_awarded() {
            Some(credits) => format!("{credits} credit"),
            None => "reported".to_owned(),
        },
        Err(error) => error.code().to_owned(),
    }
}

/// Delivers what was handed over until something has become of it.
async fn handed_over(client: &Client, store: &Store) -> Result<&'static str, Error> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        client.outbox().flush(Duration::from_millis(100)).await?;
        match store.undelivered().await?.first() {
            None => return Ok("is delivered"),
            Some(entry) if entry.is_dead => return Ok("is given up"),
            Some(entry) if entry.attempts > 0 => return Ok("waits"),
            Some(_) if Instant::now() > until => return Ok("is never tried"),
            Some(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_ends_as_the_page_says() {
    let rows = table("docs/outcomes.md", "What becomes of a report");
    assert_eq!(rows.len(), 17);
    for row in rows.into_iter().map(|row| tokio::spawn(ends_so(row))).collect::<Vec<_>>() {
        row.await.unwrap().unwrap();
    }
}

async fn ends_so(row: Vec<String>) -> Result<(), Error> {
    let [what_happens, at_once, later] = row.as_slice() else {
        return Err(Error::Config(format!("{row:?} has other cells")));
    };
    let Some(sandbox) = server(what_happens).await else {
        return Err(Error::Config(format!("`{what_happens}` is not known")));
    };
    let nobody = Refusing::new();
    let address = if what_happens.starts_with("nobody answers") { nobody.url() } else { sandbox.url() };
    let of_here = || Client::builder().base_url(address).api_key(sandbox.user_key());
    let folder = TempFolder::new("becomes");
    let store = Store::open(folder.file("store.db"))?;
    // For each way a route of its own: a second report would do nothing.
    let first = of_here().build()?;
    let reported = first.report(&ticket(what_happens, &sandbox, &first).await?, Outcome::success()).await;
    assert_eq!(&in_words(&reported), at_once, "{what_happens}: {reported:?}");
    let second = of_here().store(store.clone()).deliver_in_background(false).build()?;
    second.report_durable(&ticket(what_happens, &sandbox, &second).await?, Outcome::success()).await?;
    let end = handed_over(&second, &store).await?;
    assert_eq!(end, later, "{what_happens}: {:?}", store.undelivered().await?);
    Ok(())
}
