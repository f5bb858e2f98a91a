// Four validators under mixed load for a long time: memory and open files stay, and no node ever differs.
//   scripts/soak-test [MINUTES]
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { agree, ensure, hex, pause, withNetwork } from "../network/network.mjs";
import { signed } from "../../benches/chain/transfers.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { encodeFunctionData, parseAbi } = await import(need.resolve("viem"));
const { WebSocket } = await import(need.resolve("ws")).then((ws) => ({ WebSocket: ws.WebSocket ?? ws.default }));

const minutes = Number(process.argv[2] ?? 30);
/// Samples a run has, the first fifth of which warms the caches up.
const SAMPLES = 30;
const SUBSCRIBERS = 8;
const PRECOMPILE = "0x0000000000000000000000000000000000000a11";
/// Growth that is none: from the mean after warming up to the mean of the last samples.
const MEMORY_GROWTH = 1.25;
const MEMORY_SLACK_MIB = 48;
const FILES_SLACK = 32;
const predict = parseAbi(["function predict(bytes32 model, int256[] features) view returns (int256[])"]);
const counts = { transfers: 0, calls: 0, deployments: 0, queries: 0, heads: 0, refused: 0 };
let running = true;

const status = (node, field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${node.process.pid}/status`, "utf8"))[1]);
const sample = (node) => ({
  mib: status(node, "VmRSS") / 1_024,
  files: readdirSync(`/proc/${node.process.pid}/fd`).length,
  disk: Number(execFileSync("du", ["-sk", join(node.folder, "data")], { encoding: "utf8" }).split("\t")[0]) / 1_024,
});
const mean = (list) => list.reduce((sum, one) => sum + one, 0) / list.length;

/// Sends from one of the development accounts: most are transfers, some call a model, some deploy code that logs.
async function send(node, sender, model) {
  const address = (await import(need.resolve("viem/accounts"))).mnemonicToAccount("test test test test test test test test test test test junk", { addressIndex: sender }).address;
  let nonce = Number(await node.call("eth_getTransactionCount", [address, "latest"]));
  for (let turn = 0; running; ++turn) {
    const to = `0x${(0x77_0000_0000n + BigInt(turn % 5_000)).toString(16).padStart(40, "0")}`;
    let kind = "transfers";
    let fields = { nonce, to, value: 1n, price: 20_000_000_000n };
    if (turn % 5 === 1) {
      kind = "calls";
      const features = [12_000n + BigInt(turn % 400), 15_000n, 14_000n, 3_000n, 8_000n];
      fields = { ...fields, to: PRECOMPILE, value: 0n, gas: 1_000_000n, data: encodeFunctionData({ abi: predict, functionName: "predict", args: [model, features] }) };
    } else if (turn % 25 === 7) {
      kind = "deployments";
      // Stores, logs 32 bytes, and leaves one byte of code.
      fields = { ...fields, to: undefined, value: 0n, gas: 300_000n, data: "0x600160015560206000a060016000f3" };
    }
    try {
      await node.call("eth_sendRawTransaction", [signed(sender, fields)]);
      counts[kind] += 1;
      nonce += 1;
    } catch {
      // The pool is full for this sender, or it lost count: look again.
      counts.refused += 1;
      await pause(500);
      nonce = Number(await node.call("eth_getTransactionCount", [address, "pending"]).catch(() => hex(nonce)));
    }
    await pause(15);
  }
}

async function query(node) {
  while (running) {
    const head = await node.height();
    const logs = await node.call("eth_getLogs", [{ fromBlock: hex(Math.max(0, head - 50)), toBlock: hex(head) }]);
    ensure(Array.isArray(logs), "a query of logs has no answer");
    counts.queries += 1;
    await pause(250);
  }
}

/// Subscribes, and hangs up and comes back now and then, as clients do.
async function subscribe(node) {
  while (running) {
    const socket = new WebSocket(node.url.replace("http", "ws"));
    socket.on("error", () => {});
    socket.on("message", () => (counts.heads += 1));
    socket.once("open", () => socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'));
    for (let second = 0; second < 20 && running; ++second) await pause(1_000);
    socket.terminate();
  }
}

await withNetwork(4, ["--block-interval-ms", "500"], async (nodes) => {
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.reach(2)));
  const models = await nodes[0].call("assay_listModels");
  const model = models.find((one) => JSON.stringify(one).includes("volatility")).id;
  const work = [
    ...nodes.map((node, sender) => send(node, sender, model)),
    ...nodes.map(query),
    ...Array.from({ length: SUBSCRIBERS }, (_, index) => subscribe(nodes[index % nodes.length])),
  ];
  const failed = Promise.all(work).then(() => undefined, (error) => error);
  const samples = [];
  for (let index = 1; index <= SAMPLES; ++index) {
    const error = await Promise.race([failed, pause((minutes * 60_000) / SAMPLES)]);
    if (error) throw error;
    const now = nodes.map(sample);
    samples.push(now);
    const each = now.map(({ mib, files, disk }) => `${mib.toFixed(0)} MiB ${files} files ${disk.toFixed(0)} MiB on disk`);
    console.log(`${((minutes * index) / SAMPLES).toFixed(1)} min, block ${await nodes[0].height()}: ${each.join(" | ")}`);
  }
  running = false;
  await failed;
  const warm = Math.floor(SAMPLES / 5);
  const early = samples.slice(warm, 2 * warm);
  const late = samples.slice(-warm);
  for (const node of nodes) {
    const of = (list, field) => mean(list.map((one) => one[node.index][field]));
    const [before, after] = [of(early, "mib"), of(late, "mib")];
    const files = [of(early, "files"), of(late, "files")];
    console.log(`node ${node.index}: memory ${before.toFixed(0)} to ${after.toFixed(0)} MiB, open files ${files.map((one) => one.toFixed(0)).join(" to ")}`);
    ensure(after <= before * MEMORY_GROWTH + MEMORY_SLACK_MIB, `node ${node.index}: memory grows`);
    ensure(files[1] <= files[0] + FILES_SLACK, `node ${node.index}: open files grow`);
    const { voting } = await node.call("assay_status");
    ensure(voting.stopped === null && Number(voting.counters.divergences) === 0, `node ${node.index} diverged`);
    ensure(Number(voting.counters.equivocations) === 0, "a validator signed two things");
  }
  const tip = Math.min(...(await Promise.all(nodes.map((node) => node.height()))));
  for (let height = 1; height <= tip; height += Math.max(1, Math.floor(tip / 500))) await agree(nodes, height);
  console.log(`${minutes} min, ${tip} blocks: no divergence; ${JSON.stringify(counts)}`);
});
