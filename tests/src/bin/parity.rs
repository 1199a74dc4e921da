//! One call by the library, its answer as JSON: the Rust side of `tests/parity/table.json`. The server and the key come from
//! the environment. `parity --list` names the calls that it knows.

use std::io::Write;

use amply_sdk::{
    AddedCredential, AdminTopUp, Answer, Client, ClientBuilder, ExecuteRequest, Method, NewCredential,
    Outcome, Period, RouteRequest, Signup, SpendPolicy, Target, TopUpOrder, Usd, env,
};
use serde_json::Value;

const CALLS: &[&str] = &[
    "agent",
    "audit",
    "billing_status",
    "credentials.add",
    "credentials.list",
    "credentials.remove",
    "execute",
    "health",
    "openapi",
    "outbox.list",
    "payments.list",
    "plan",
    "platform_metrics",
    "providers",
    "report",
    "request",
    "route_task",
    "route_task_tracked",
    "savings_report",
    "signup",
    "status",
    "top_up",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let call = std::env::args().nth(1).ok_or("usage: parity CALL | --list")?;
    let said = match call.as_str() {
        "--list" => serde_json::to_string(CALLS)?,
        call => ask(&Client::from_env()?, call).await?,
    };
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}

async fn ask(client: &Client, call: &str) -> Result<String, Box<dyn std::error::Error>> {
    let task = "store 1M vectors";
    Ok(match call {
        "route_task" => client.route_task(RouteRequest::new(task).dimension(1536)).await?.text().to_owned(),
        "route_task_tracked" => client.route_task_tracked(task).await?.into_parts().0.text().to_owned(),
        "plan" => {
            let plan = client.plan(&RouteRequest::new(task).dimension(1536)).await?;
            serde_json::to_string(&plan)?
        }
        "status" => client.status().await?.text().to_owned(),
        "agent" => client.agent().await?.text().to_owned(),
        "signup" => client.signup(Signup::accepting("2026-11-01")).await?.expose_text().to_owned(),
        "providers" => client.providers().await?.text().to_owned(),
        "health" => client.health().await?.text().to_owned(),
        "openapi" => client.openapi().await?.text().to_owned(),
        "platform_metrics" => client.platform_metrics().await?.text().to_owned(),
        "billing_status" => client.billing_status().await?.text().to_owned(),
        "credentials.add" => add(client, Some("staging")).await?.text().to_owned(),
        "credentials.list" => {
            add(client, None).await?;
            client.credentials().list().await?.text().to_owned()
        }
        "credentials.remove" => {
            let added = add(client, None).await?;
            let removed = client.credentials().remove(added.id().unwrap_or_default()).await?;
            removed.receipt.ok_or("it was sent once")?.text().to_owned()
        }
        "execute" => {
            let target = Target::new("https://worker.example/run")?;
            let request =
                ExecuteRequest::at_target(task, target).input(serde_json::json!({"rows": [1, 2.5]}));
            client.execute(request).await?.text().to_owned()
        }
        "savings_report" => client.savings_report(Period::Days90).await?.text().to_owned(),
        "top_up" => {
            let policy =
                SpendPolicy::per_topup(Usd::dollars(10)).per_day(Usd::dollars(10)).per_process_only();
            let operator = ClientBuilder::from_env()
                .wallet_payer(AdminTopUp::new(std::env::var(env::ADMIN_SECRET)?)?)
                .spend_policy(policy)
                .build()?;
            let payment = operator.top_up(TopUpOrder::new(Usd::dollars(5)).reason("monthly budget")).await?;
            serde_json::to_string(&payment)?
        }
        "payments.list" => serde_json::to_string(&client.payments().list().await?)?,
        "request" => {
            let body = serde_json::json!({ "task": task });
            let answer: Answer<Value> = client.request(Method::POST, "/route", Some(&body)).await?;
            answer.text().to_owned()
        }
        "report" => {
            let ticket = client.route_task_tracked(task).await?.ticket()?;
            let outcome = Outcome::success().latency(std::time::Duration::from_millis(42));
            let receipt = client.report(&ticket, outcome).await?.receipt.ok_or("it was sent once")?;
            receipt.text().to_owned()
        }
        "audit" => {
            let route = client.route_task(task).await?;
            client.audit(route.route_id.as_deref().unwrap_or_default()).await?.text().to_owned()
        }
        "outbox.list" => match client.outbox().list().await?.len() {
            0 => "[]".to_owned(),
            count => return Err(format!("{count} reports wait in a new client").into()),
        },
        other => return Err(format!("`{other}` is no call of this program").into()),
    })
}

async fn add(client: &Client, label: Option<&str>) -> Result<Answer<AddedCredential>, amply_sdk::Error> {
    let credential = NewCredential::new("qdrant", "s3cret");
    let credential = match label {
        Some(label) => credential.label(label),
        None => credential,
    };
    client.credentials().add(credential).await
}
