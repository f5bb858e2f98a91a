//! `assay model du`: what models take on a node's disk, and how much the chain allows.

use serde_json::{Value, json};

use crate::{
    cli::Failure,
    client::{Client, number},
    table::{Table, size},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// RPC address of the node.
    #[arg(long, default_value = "http://127.0.0.1:8545")]
    rpc: String,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Shows each model's bytes, then the sums.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let client = Client::new(&args.rpc)?;
    let status = client.call("assay_status", json!([]))?;
    let sums = &status["models"];
    if sums.is_null() {
        return Err(Failure::failed("this chain has no models"));
    }
    let models = list(&client, number(&sums["active"], "models.active")?)?;
    if args.json {
        let sums = |name: &str| number(&sums[name], name);
        let answer = json!({
            "models": models,
            "heldBytes": sums("heldBytes")?,
            "activeBytes": sums("activeBytes")?,
            "limitBytes": sums("limitBytes")?,
        });
        println!("{answer}");
        return Ok(());
    }
    let mut table = Table::new(&[">size", "status", "here", "id", "name"]);
    for model in &models {
        let text = |field: &str| model[field].as_str().unwrap_or("-").to_owned();
        table.row([
            size(number(&model["size"], "size")?),
            text("status"),
            if model["held"] == true { "yes" } else { "no" }.to_owned(),
            text("id"),
            text("name"),
        ]);
    }
    print!("{}", table.render());
    let sum = |name: &str| number(&sums[name], name).map(size);
    println!(
        "\n{} held here; active models are {} of the {} that the genesis allows",
        sum("heldBytes")?,
        sum("activeBytes")?,
        sum("limitBytes")?
    );
    Ok(())
}

/// Lists active models, the largest first, then those only this node holds.
fn list(client: &Client, active: u64) -> Result<Vec<Value>, Failure> {
    let mut models: Vec<Value> = Vec::new();
    let mut first = 0;
    loop {
        let page = client.call("assay_listModels", json!([format!("{first:#x}")]))?;
        let page = page.as_array().cloned().unwrap_or_default();
        let of_chain = page.iter().filter(|one| one["status"] == "active").count();
        models.extend(page);
        first += of_chain as u64;
        if of_chain == 0 || first >= active {
            break;
        }
    }
    let bytes = |one: &Value| number(&one["size"], "size").unwrap_or_default();
    models.sort_by_key(|one| (one["status"] != "active", std::cmp::Reverse(bytes(one))));
    Ok(models)
}
