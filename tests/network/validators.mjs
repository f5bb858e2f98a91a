// Four validators, four processes: one answer, one state, one certificate; then killed again and again.
//   scripts/network-test [ROUNDS] [SEED]
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { account, agree, ensure, fresh, pause, publish, random, receipt, transfer, until, withNetwork } from "./network.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { encodeFunctionData, parseAbi, serializeTransaction } = await import(need.resolve("viem"));

const rounds = Number(process.argv[2] ?? 10);
const seed = process.argv[3] ?? "assay";
const next = random(seed);

let nonce = 0;
await withNetwork(4, ["--block-interval-ms", "200", "--propose-timeout-ms", "1000"], async (nodes, folder) => {
  nodes.forEach((node) => node.start());
  const began = Date.now();
  await Promise.all(nodes.map((node) => node.reach(2)));
  console.log(`four validators decide blocks ${((Date.now() - began) / 1000).toFixed(1)} s after their start`);
  const chainId = Number(await nodes[0].call("eth_chainId"));

  // What the board, the alerts and the guide name is measured.
  const measured = await (await fetch(`${nodes[0].url}/metrics`)).text();
  for (const page of ["grafana.json", "alerts.yaml", "guides/validator.md"]) {
    const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
    const names = new Set(text.match(/\bassay_[a-z][a-z0-9_]*\b/g).filter((name) => !["assay_consensus", "assay_status"].includes(name)));
    ensure(names.size > 5, `docs/${page} names ${names.size} metrics`);
    for (const name of names) ensure(new RegExp(`^${name} `, "m").test(measured), `docs/${page} names ${name}, which is not measured`);
  }

  // A contract calls a model: the same answer everywhere, in a call and in a transaction.
  const models = await nodes[0].call("assay_listModels");
  const model = models.find((one) => JSON.stringify(one).includes("volatility"));
  const predict = parseAbi(["function predict(bytes32 model, int256[] features) view returns (int256[])"]);
  const features = [12_000n, 15_000n, 14_000n, 3_000n, 8_000n];
  const data = encodeFunctionData({ abi: predict, functionName: "predict", args: [model.id, features] });
  const call = { from: account.address, to: "0x0000000000000000000000000000000000000a11", data };
  const answers = await Promise.all(nodes.map((node) => node.call("eth_call", [call, "latest"])));
  ensure(new Set(answers).size === 1 && answers[0].length > 2, "nodes answer a model differently");
  const fields = { chainId, nonce: nonce++, to: call.to, data, gas: 1_000_000n, maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
  const raw = await account.signTransaction(fields, { serializer: serializeTransaction });
  // Sent to one node; whoever proposes next has heard of it.
  const hash = await nodes[0].call("eth_sendRawTransaction", [raw]);
  const included = await receipt(nodes[3], hash);
  await Promise.all(nodes.map((node) => node.reach(Number(included.blockNumber))));
  const block = await agree(nodes, Number(included.blockNumber));
  const records = await Promise.all(nodes.map((node) => node.call("assay_getInferences", [hash])));
  ensure(new Set(records.map((one) => JSON.stringify(one))).size === 1 && records[0].length === 1, "records differ");
  console.log(`a model's answer in block ${Number(block.number)}: one output hash on four nodes, ${records[0][0].outputHash}`);

  // A model is published through one node; the others fetch it, attest to it, and then everybody can call it.
  const publishing = Date.now();
  const id = publish(nodes[1], join(folder, "fresh.assay"), fresh(account.address.toLowerCase()));
  const again = { ...call, data: encodeFunctionData({ abi: predict, functionName: "predict", args: [id, features] }) };
  const fetched = await Promise.all(nodes.map((node) => until(`the fresh model on node ${node.index}`, () => node.call("eth_call", [again, "latest"]))));
  ensure(fetched.every((answer) => answer === answers[0]), "the fresh model answers other bits");
  const counts = await Promise.all(nodes.map(async (node) => Number((await node.call("assay_status")).voting.network.models_fetched)));
  ensure(counts.filter((count) => count === 1).length === 3, `models fetched: ${counts}`);
  console.log(`a model published through one node is active ${((Date.now() - publishing) / 1000).toFixed(1)} s later, fetched and attested to by the others`);
  nonce = Number(await nodes[0].call("eth_getTransactionCount", [account.address, "latest"]));

  // A node whose data is gone begins with another's snapshot, and executes nothing of before.
  const beginning = Date.now();
  await Promise.all([nodes[2].kill("SIGTERM"), nodes[3].kill("SIGTERM")]);
  const file = join(folder, "snapshot");
  const command = (...args) => JSON.parse(execFileSync(nodes[3].program, ["node", ...args, "--json"], { encoding: "utf8" }));
  const taken = command("export", "--datadir", join(nodes[2].folder, "data"), "--snapshot", file);
  nodes[2].start();
  rmSync(join(nodes[3].folder, "data", "chain.redb"));
  const genesis = join(folder, "genesis.json");
  const proven = command("import", "--genesis", genesis, "--datadir", join(nodes[3].folder, "data"), "--snapshot", file, "--block", taken.hash);
  ensure(proven.head === taken.snapshotOf && 3 * proven.signedPower > 2 * proven.totalPower, `proven: ${JSON.stringify(proven)}`);
  nodes[3].start();
  await nodes[3].reach(taken.snapshotOf + 3);
  await agree(nodes, taken.snapshotOf + 1);
  console.log(`a node began with a snapshot of block ${taken.snapshotOf}, ${taken.bytes >> 10} KiB, and votes on; ${((Date.now() - beginning) / 1000).toFixed(1)} s in all`);

  // One validator dies at random moments, under load; then all do.
  let slowest = 0;
  for (let round = 0; round < rounds; ++round) {
    const all = next() < 0.25;
    const victims = all ? nodes : [nodes[Math.floor(next() * 4)]];
    for (let count = 0; count < 5; ++count) await transfer(nodes, chainId, nonce++);
    await pause(next() * 600);
    await Promise.all(victims.map((node) => node.kill()));
    const left = nodes.filter((node) => !victims.includes(node));
    if (left.length > 0) {
      const height = await left[0].height();
      await left[0].reach(height + 2);
    }
    const before = Date.now();
    victims.forEach((node) => node.start());
    const tips = left.length > 0 ? await Promise.all(left.map((node) => node.height())) : [1];
    await Promise.all(nodes.map((node) => node.reach(Math.max(...tips) + 1)));
    slowest = Math.max(slowest, Date.now() - before);
    const heights = await Promise.all(nodes.map((node) => node.height()));
    await agree(nodes, Math.min(...heights));
    // What a node dropped with its pool is sent again; nothing that was decided is ever lost.
    nonce = Number(await nodes[0].call("eth_getTransactionCount", [account.address, "latest"]));
  }
  const tip = Math.min(...(await Promise.all(nodes.map((node) => node.height()))));
  // Certificates of before its snapshot are what node 3 lacks.
  for (let height = 1; height <= tip; ++height) await agree(height < taken.snapshotOf ? nodes.slice(0, 3) : nodes, height);
  const stopped = await Promise.all(nodes.map((node) => node.call("assay_status")));
  ensure(stopped.every((status) => status.voting.stopped === null), "a node stopped voting");
  const diverged = await Promise.all(nodes.map((node) => node.call("assay_getDivergences")));
  ensure(diverged.every((reports) => reports.length === 0), "a node computed another result");
  console.log(`${rounds} rounds of kill -9: ${tip} heights agree on four nodes, slowest return ${slowest} ms`);
});
