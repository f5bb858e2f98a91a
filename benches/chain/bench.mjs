// Measures the chain beside anvil, in turns, in one run; writes a section of docs/benchmarks.md.
//   scripts/bench chain [--full] [--dry]      --full adds the 100,000 transfers and the state of a million accounts
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Node } from "./node.mjs";
import { batches, included, signed } from "./transfers.mjs";

const need = createRequire(new URL("../../tests/clients/package.json", import.meta.url));
const { decodeFunctionResult, encodeFunctionData, encodeDeployData } = await import(need.resolve("viem"));
const full = process.argv.includes("--full");
const root = new URL("../../", import.meta.url);
const artifact = (name) => JSON.parse(readFileSync(new URL(`contracts/out/${name}.sol/${name}.json`, root), "utf8"));
const load = artifact("Load");
const mlpInSolidity = artifact("SolidityMlp");
const rows = [];
const LIMIT_S = 60;
const PARAMETERS = 64 * 32 + 64 * 64 + 64 + 129;

function row(what, ours, theirs, note = "") {
  rows.push([what, ours, theirs, note]);
  console.log([what, ours, theirs, note].filter(Boolean).join(" | "));
}
const whole = (value) => Math.round(value).toLocaleString("en");
const ratio = (ours, theirs) => `${(ours / theirs).toFixed(2)}x`;
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/// Runs a measurement on both in turns, three times, and keeps the medians.
async function inTurns(options, measure, turns = 3) {
  const results = { assay: [], anvil: [] };
  for (let turn = 0; turn < turns; ++turn) {
    for (const name of ["assay", "anvil"]) {
      const node = await Node.start(name, options);
      try {
        results[name].push(await measure(node));
      } finally {
        await node.stop();
      }
    }
  }
  return results;
}

async function mined(node, transaction) {
  const hash = await node.rpc.call("eth_sendRawTransaction", [transaction]);
  for (;;) {
    const receipt = await node.rpc.call("eth_getTransactionReceipt", [hash]);
    if (receipt) return receipt;
    await new Promise((wake) => setTimeout(wake, 1));
  }
}

async function deployed(node, { abi, bytecode }, nonce, args = []) {
  const data = encodeDeployData({ abi, bytecode: bytecode.object, args });
  const receipt = await mined(node, signed(0, { nonce, data, gas: 10_000_000n }));
  if (receipt.status !== "0x1") throw new Error("deployment failed");
  return receipt.contractAddress;
}

async function asked(node, to, functionName, args, abi = load.abi) {
  const data = encodeFunctionData({ abi, functionName, args });
  const began = performance.now();
  const result = await node.rpc.call("eth_call", [{ to, data, gas: "0x2faf080" }, "latest"]);
  const ms = performance.now() - began;
  return { ms, values: decodeFunctionResult({ abi, functionName, data: result }) };
}

/// Measures once, and gives up when the node dies (as it does when it takes too much memory) or takes too long.
async function limited(name, options, measure) {
  const node = await Node.start(name, options);
  try {
    const late = new Promise((given) => setTimeout(() => given({ failure: `not done in ${LIMIT_S} s` }), LIMIT_S * 1_000).unref());
    const dead = node.ended.then(() => ({ failure: "out of memory" }));
    const failed = (error) => new Promise((wait) => setTimeout(wait, 100)).then(() => ({ failure: node.dead ? "out of memory" : error.message }));
    const done = await Promise.race([measure(node).catch(failed), dead, late]);
    return { ...done, peak: node.peakKib };
  } finally {
    await node.stop();
  }
}

function compare(what, runs) {
  const shown = {};
  for (const name of ["assay", "anvil"]) {
    const rates = runs[name].flatMap((run) => run.rate ?? []);
    shown[name] = { rate: rates.length ? median(rates) : 0, text: rates.length ? whole(median(rates)) : runs[name][0].failure };
    shown[name].peak = whole(Math.max(...runs[name].map((run) => run.peak)) / 1024);
  }
  const { assay, anvil } = shown;
  row(what, assay.text, anvil.text, assay.rate && anvil.rate ? ratio(assay.rate, anvil.rate) : "");
  row("· peak memory (MiB)", assay.peak, anvil.peak);
}

async function transfers() {
  const sizes = [[2_000, 3], [10_000, 1]];
  for (const [count, turns] of sizes) {
    const work = batches(count);
    const runs = { assay: [], anvil: [] };
    for (let turn = 0; turn < turns; ++turn) {
      for (const name of ["assay", "anvil"]) runs[name].push(await limited(name, [], async (node) => ({ rate: await included(node, work, count) })));
    }
    compare(`transfers, instant mining, ${whole(count)} (included/s)`, runs);
  }
  // Memory must not grow with the chain: the same for less and more of it, in a scratch store and on disk.
  for (const [count, where] of full ? [[50_000, ""], [100_000, ""], [100_000, ", on disk"]] : []) {
    const folder = mkdtempSync(join(tmpdir(), "assay-bench-data-"));
    const work = batches(count);
    const run = await limited("assay", where ? ["--datadir", folder] : [], async (node) => ({ rate: await included(node, work, count) }));
    rmSync(folder, { recursive: true, force: true });
    row(`transfers, instant mining, ${whole(count)}${where} (included/s)`, run.rate ? whole(run.rate) : run.failure, "not run", `peak ${whole(run.peak / 1024)} MiB`);
  }
  const work = batches(20_000);
  const options = ["--block-time", "1", "--gas-limit", "1000000000"];
  const runs = { assay: [], anvil: [] };
  for (const name of ["assay", "anvil"]) runs[name].push(await limited(name, options, async (node) => ({ rate: await included(node, work, 20_000) })));
  compare("transfers, blocks of one second, 20,000 (included/s)", runs);
}

async function calls() {
  const measure = async (node) => {
    const at = await deployed(node, load, 0);
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_call", params: [{ to: at, data: encodeFunctionData({ abi: load.abi, functionName: "hashes", args: [1n] }) }, "latest"] });
    const times = [];
    for (let i = 0; i < 5_500; ++i) {
      const began = performance.now();
      await node.rpc.post(body);
      if (i >= 500) times.push((performance.now() - began) * 1_000);
    }
    times.sort((x, y) => x - y);
    const speed = {};
    for (const [name, size] of [["arithmetic", 20_000n], ["hashes", 20_000n], ["matmul", 24n]]) {
      // Short runs, and the fastest of them: what else the machine does stays out.
      const rates = [];
      for (let i = 0; i < 25; ++i) {
        const { ms, values } = await asked(node, at, name, [size]);
        rates.push(Number(values[0]) / ms / 1_000);
      }
      speed[name] = Math.max(...rates);
    }
    return { p50: times[2_500], p99: times[4_950], start: node.startMs, ...speed };
  };
  const results = await inTurns(["--gas-limit", "100000000"], measure);
  const pick = (name, key) => median(results[name].map((result) => result[key]));
  for (const [key, label] of [["p50", "eth_call, median (us)"], ["p99", "eth_call, 99th percentile (us)"], ["start", "start to first answer (ms)"]]) {
    row(label, whole(pick("assay", key)), whole(pick("anvil", key)), ratio(pick("anvil", key), pick("assay", key)));
  }
  for (const [key, label] of [["arithmetic", "arithmetic (Mgas/s)"], ["hashes", "keccak (Mgas/s)"], ["matmul", "whole-number matmul (Mgas/s)"]]) {
    row(label, whole(pick("assay", key)), whole(pick("anvil", key)), ratio(pick("assay", key), pick("anvil", key)));
  }
}

async function inference() {
  const bundle = new URL("mlp.assay", import.meta.url).pathname;
  const node = await Node.start("assay", ["--no-examples", "--model", bundle, "--gas-limit", "100000000"]);
  try {
    const model = process.env.MLP_ID;
    const at = await deployed(node, load, 0);
    // One stop byte, then weights and biases of 16 bits each, behind a constructor that returns them.
    const size = 1 + 2 * PARAMETERS;
    const code = Buffer.alloc(size);
    for (let i = 1; i < size; ++i) code[i] = i % 2 ? (i * 7) % 3 === 0 ? 0xff : 0x00 : (i * 37) % 251;
    const init = Buffer.from(`61${size.toString(16).padStart(4, "0")}80600a3d393df3`, "hex");
    const weights = await mined(node, signed(0, { nonce: 1, data: `0x${init.toString("hex").padEnd(20, "0")}${code.toString("hex")}`, gas: 10_000_000n }));
    const solidity = await deployed(node, mlpInSolidity, 2, [weights.contractAddress]);

    let seed = 1n;
    // Microseconds and gas of one call more: short runs, and the fastest of them.
    const perCall = async (name, args, rounds) => {
      const [none, many] = [[], []];
      let gas;
      for (let i = 0; i < 40; ++i) {
        seed += 1_000_000n;
        const without = await asked(node, at, name, args(0n, seed));
        const done = await asked(node, at, name, args(rounds, seed));
        none.push(without.ms);
        many.push(done.ms);
        gas = Number(done.values[0] - without.values[0]) / Number(rounds);
      }
      return { us: ((Math.min(...many) - Math.min(...none)) * 1_000) / Number(rounds), gas };
    };
    const one = await perCall("predict", (rounds, from) => [model, 30n, rounds, from], 500n);
    const inEvm = await perCall("solidity", (rounds, from) => [solidity, rounds, from], 20n);
    const batch = [];
    for (let i = 0; i < 20; ++i) {
      seed += 1_000_000n;
      const [few, many] = [await asked(node, at, "predictBatch", [model, 30n, 1n, seed]), await asked(node, at, "predictBatch", [model, 30n, 201n, seed])];
      batch.push({ gas: Number(many.values[0] - few.values[0]) / 200 });
    }
    const batched = batch[0];
    row("MLP 30-64-64-1 by the precompile, per row (us)", one.us.toFixed(1), `${inEvm.us.toFixed(0)} in Solidity`, `${(inEvm.us / one.us).toFixed(0)}x less time`);
    row("· gas with the call, warm", whole(one.gas), `${whole(inEvm.gas)} in Solidity`, `${(inEvm.gas / one.gas).toFixed(0)}x less gas`);
    row("· each further row of a batch, gas", whole(batched.gas), "", `${(inEvm.gas / batched.gas).toFixed(0)}x less gas`);
    if (process.env.RUNTIME_US) {
      const runtime = Number(process.env.RUNTIME_US);
      row("· over the runtime alone (us a call)", (one.us - runtime).toFixed(1), "", `runtime ${runtime.toFixed(1)} us (assay model bench)`);
    }
    const data = encodeFunctionData({ abi: load.abi, functionName: "chained", args: [model, 30n, 100n] });
    const receipt = await mined(node, signed(0, { nonce: 3, to: at, data, gas: 10_000_000n }));
    if (receipt.status !== "0x1") throw new Error("100 chained calls failed");
    row("100 chained calls in one transaction (gas)", whole(Number(receipt.gasUsed)), "");
  } finally {
    await node.stop();
  }
}

/// Writes a state of so many accounts as `--load-state` reads it.
function stateFile(folder, accounts) {
  const path = join(folder, "state.json");
  const out = openSync(path, "w");
  writeSync(out, '{"accounts":{');
  for (let from = 0; from < accounts; from += 10_000) {
    const part = [];
    for (let i = from; i < Math.min(from + 10_000, accounts); ++i) {
      part.push(`"0x${(0x1234567n * BigInt(i + 1)).toString(16).padStart(40, "7")}":{"balance":"0x1"}`);
    }
    writeSync(out, (from ? "," : "") + part.join(","));
  }
  writeSync(out, "}}");
  closeSync(out);
  return path;
}

/// Times blocks of 1,000 storage writes, from the send to the receipt, with the state on disk.
async function storage() {
  const accounts = full ? 1_000_000 : 100_000;
  const folder = mkdtempSync(join(tmpdir(), "assay-bench-state-"));
  const options = ["--gas-limit", "100000000", "--datadir", join(folder, "data"), "--load-state", stateFile(folder, accounts)];
  const node = await Node.start("assay", options);
  try {
    const at = await deployed(node, load, 0);
    const parts = [["new slots", (i) => i], ["slots written before", (i) => i / 1_000]];
    let nonce = 1;
    for (const [what, first] of parts) {
      const times = [];
      for (let i = 0; i < 7; ++i) {
        const data = encodeFunctionData({ abi: load.abi, functionName: "write", args: [BigInt(Math.round(first(i) * 1_000) + 100), 1_000n] });
        const transaction = signed(0, { nonce: nonce++, to: at, data, gas: 29_000_000n });
        const began = performance.now();
        const receipt = await mined(node, transaction);
        times.push(performance.now() - began);
        if (receipt.status !== "0x1") throw new Error("1,000 writes failed");
      }
      const note = `first ${times[0].toFixed(0)}, slowest ${Math.max(...times).toFixed(0)}`;
      row(`block of 1,000 storage writes (${what}) on ${whole(accounts)} accounts, on disk (ms)`, median(times).toFixed(0), "", note);
    }
  } finally {
    await node.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(named) {
  const path = new URL("docs/benchmarks.md", root);
  const [open, close] = ["<!-- chain: written by scripts/bench chain -->", "<!-- /chain -->"];
  const table = rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const section = `${open}
## Chain, beside anvil 1.7.1

\`scripts/bench chain${full ? " --full" : ""}${named.map((name) => ` ${name}`).join("")}\` on ${cpus().length} cores of ${cpus()[0].model.trim()}; in turns: medians for rates of transactions and times, the fastest of short runs for
gas a second and the MLP. Load average ${loadavg()[0].toFixed(1)} at the end: above the number of cores it was a busy machine, and only the ratios mean anything.

| what | assay | anvil | ratio, note |
|---|---|---|---|
${table}
${close}`;
  const before = existsSync(path) ? readFileSync(path, "utf8") : "# Benchmarks\n\n";
  const from = before.indexOf(open);
  const after = from < 0 ? `${before.trimEnd()}\n\n${section}\n` : before.slice(0, from) + section + before.slice(before.indexOf(close) + close.length);
  writeFileSync(path, after);
}

const parts = { calls, transfers, inference, storage };
const named = process.argv.slice(2).filter((name) => name in parts);
for (const name of named.length ? named : Object.keys(parts)) {
  // A part that the node does not survive is a result too.
  await parts[name]().catch((error) => row(`${name}: stopped`, error.message, ""));
}
if (!process.argv.includes("--dry")) write(named);
