// Measures four validators on this machine against the engine's own floor: blocks with nothing in them, in the same run.
//   scripts/bench network [--blocks N] [--minilm BUNDLE]     10,000 blocks of the memory measurement by default
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { account, agree, pause, publish, until, withNetwork } from "../../tests/network/network.mjs";
import { batches } from "../chain/transfers.mjs";
import { Connection } from "../chain/node.mjs";

const need = createRequire(new URL("../../tests/clients/package.json", import.meta.url));
const { encodeFunctionData, parseAbi, serializeTransaction } = await import(need.resolve("viem"));
const value = (name) => process.argv[process.argv.indexOf(name) + 1];
const steps = process.argv.includes("--blocks") ? Number(value("--blocks")) : 10_000;
const minilm = process.argv.includes("--minilm") ? value("--minilm") : undefined;
const PRECOMPILE = "0x0000000000000000000000000000000000000a11";
const TRANSFER_GAS = 21_000;
const PER_BLOCK = 1_000;
const TRANSFERS = 20_000;
const CALLS = 50;
/// Blocks a late node takes at least; those with transfers are among them.
const LATE_BLOCKS = 500;
const I64 = 7;
const run = parseAbi(["function run(bytes32 model, (uint8 dtype, uint64[] shape, bytes data)[] inputs) view returns ((uint8 dtype, uint64[] shape, bytes data)[] outputs)"]);

const options = ["--block-interval-ms", "0", "--propose-timeout-ms", "10000"];
const rows = [];
function row(what, figure, floor = "") {
  rows.push([what, figure, floor]);
  console.log(`${what.padEnd(52)}  ${figure.padEnd(34)}  ${floor}`.trimEnd());
}
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
const rss = (node) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.process.pid}/status`, "utf8"))[1]) / 1_024;

/// Makes every node's genesis have another gas limit: they share the file.
function limitGas(folder, gas) {
  const path = join(folder, "genesis.json");
  const genesis = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...genesis, gasLimit: `0x${gas.toString(16)}` }));
}

async function started(nodes) {
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.reach(3)));
}

/// Times blocks with nothing in them.
async function floorOf(node, seconds = 8) {
  const [before, began] = [await node.height(), performance.now()];
  await pause(seconds * 1_000);
  return (performance.now() - began) / ((await node.height()) - before);
}

/// Times the blocks that hold transactions: from the first to the last, in milliseconds each.
async function timed(node, from, send, counts) {
  await send();
  const began = performance.now();
  let [height, first, last, seen, blocks] = [from, 0, 0, 0, 0];
  while (seen < counts) {
    const block = await node.call("eth_getBlockByNumber", [`0x${(height + 1).toString(16)}`, false]);
    if (!block) {
      await pause(1);
      continue;
    }
    height += 1;
    if (block.transactions.length === 0) continue;
    [first, last] = [first || performance.now(), performance.now()];
    seen += block.transactions.length;
    blocks += 1;
  }
  return { blocks, seen, each_ms: blocks > 1 ? (last - first) / (blocks - 1) : performance.now() - began, all_s: (performance.now() - began) / 1_000 };
}

async function signedCall(chainId, nonce, data, gas) {
  const fields = { chainId, nonce, to: PRECOMPILE, data, gas, maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
  return account.signTransaction(fields, { serializer: serializeTransaction });
}

/// Sends raw transactions in batches to one node.
async function sendAll(node, raws) {
  const connection = new Connection(Number(node.url.split(":").at(-1)));
  for (let index = 0; index < raws.length; index += 100) {
    const calls = raws.slice(index, index + 100).map((raw, id) => ({ jsonrpc: "2.0", id, method: "eth_sendRawTransaction", params: [raw] }));
    const answer = await connection.post(JSON.stringify(calls));
    if (answer.includes('"error"')) throw new Error(answer.slice(0, 300));
  }
  connection.close();
}

async function transfers(nodes, floor) {
  const work = batches(TRANSFERS);
  const send = () =>
    Promise.all(work.map(async (bodies, index) => {
      const connection = new Connection(Number(nodes[index].url.split(":").at(-1)));
      for (const body of bodies) {
        const answer = await connection.post(body);
        if (answer.includes('"error"')) throw new Error(answer.slice(0, 300));
      }
      connection.close();
    }));
  const { blocks, seen, each_ms, all_s } = await timed(nodes[0], await nodes[0].height(), send, TRANSFERS);
  row(`block interval, ${Math.round(seen / blocks)} transfers a block`, `${each_ms.toFixed(1)} ms`, `${(each_ms / floor).toFixed(1)}x the floor`);
  row("transfers a second, sent and gossiped meanwhile", `${Math.round(seen / all_s)}`);
}

async function finality(nodes) {
  const chainId = Number(await nodes[0].call("eth_chainId"));
  const times = [];
  let nonce = Number(await nodes[0].call("eth_getTransactionCount", [account.address, "latest"]));
  for (let count = 0; count < 200; ++count) {
    const raw = await account.signTransaction({ chainId, nonce: nonce++, to: PRECOMPILE, value: 0n, gas: 100_000n, maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" }, { serializer: serializeTransaction });
    const began = performance.now();
    const hash = await nodes[0].call("eth_sendRawTransaction", [raw]);
    for (;;) {
      if (await nodes[3].call("eth_getTransactionReceipt", [hash])) break;
      await pause(1);
    }
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  row("finality: sent to one node, decided and final on another", `p50 ${at(times, 0.5).toFixed(0)} ms, p99 ${at(times, 0.99).toFixed(0)} ms`);
}

async function lateJoin(nodes) {
  const late = nodes[3];
  await late.kill();
  rmSync(join(late.folder, "data"), { recursive: true });
  await nodes[0].reach(LATE_BLOCKS, 300);
  const [target, began] = [await nodes[0].height(), performance.now()];
  late.start();
  await late.reach(target, 300);
  const seconds = (performance.now() - began) / 1_000;
  row(`late join: ${target} blocks executed and checked`, `${seconds.toFixed(1)} s, ${Math.round(target / seconds)} blocks/s`);
}

/// Prints memory every thousand blocks: it must not grow with their number.
async function memory(nodes) {
  const sizes = [];
  const first = await nodes[0].height();
  for (let step = 1; step * 1_000 <= steps; ++step) {
    await nodes[0].reach(first + step * 1_000, 600);
    sizes.push(nodes.map(rss));
    console.log(`  memory after ${step * 1_000} blocks: ${sizes.at(-1).map((mib) => `${mib.toFixed(0)} MiB`).join(", ")}`);
  }
  const mean = (list) => list.reduce((sum, one) => sum + one, 0) / list.length;
  row(`memory after ${steps} blocks`, `${mean(sizes.at(-1)).toFixed(0)} MiB a node`, `${mean(sizes[0]).toFixed(0)} MiB after 1000`);
}

/// Tokens of a call: `[1, 8]` of int64; the first differs where the call shall be new.
function tokens(seed) {
  const ids = Buffer.alloc(64);
  for (let index = 0; index < 8; ++index) ids.writeBigInt64LE(BigInt(1_000 + ((seed * 7_919 + index * 31) % 20_000)), index * 8);
  const [ones, zeros] = [Buffer.alloc(64), Buffer.alloc(64)];
  for (let index = 0; index < 8; ++index) ones.writeBigInt64LE(1n, index * 8);
  return [ids, ones, zeros].map((data) => ({ dtype: I64, shape: [1n, 8n], data: `0x${data.toString("hex")}` }));
}

async function inference(nodes, folder) {
  const size = readFileSync(minilm).length / 2 ** 20;
  const began = performance.now();
  const id = publish(nodes[0], join(folder, "minilm.assay"), readFileSync(minilm));
  const encode = (seed) => encodeFunctionData({ abi: run, functionName: "run", args: [id, tokens(seed)] });
  const call = (seed) => ({ from: account.address, to: PRECOMPILE, data: encode(seed) });
  await Promise.all(nodes.map((node) => until("the model", () => node.call("eth_call", [call(0), "latest"]))));
  const published = (performance.now() - began) / 1_000;
  row(`a model of ${size.toFixed(0)} MiB: uploaded, fetched, replayed, active`, `${published.toFixed(1)} s`, `${((3 * size) / published).toFixed(0)} MiB/s to three peers at least`);
  const gas = BigInt(await nodes[0].call("eth_estimateGas", [call(1)]));
  const chainId = Number(await nodes[0].call("eth_chainId"));
  const floor = await floorOf(nodes[0]);
  row("engine floor with the model there, an empty block", `${floor.toFixed(1)} ms`);
  for (const [what, seed] of [["new inputs", (index) => index + 2], ["the same input", () => 2]]) {
    let nonce = Number(await nodes[0].call("eth_getTransactionCount", [account.address, "latest"]));
    const raws = [];
    for (let index = 0; index < CALLS; ++index) raws.push(await signedCall(chainId, nonce++, encode(seed(index)), gas));
    const { blocks, seen, each_ms, all_s } = await timed(nodes[0], await nodes[0].height(), () => sendAll(nodes[0], raws), CALLS);
    row(`MiniLM, 8 tokens, ${what}: ${seen} calls in ${blocks} blocks`, `${all_s.toFixed(2)} s, ${(seen / all_s).toFixed(1)} inferences/s`, `${((all_s * 1_000) / blocks / floor).toFixed(1)}x the floor a block (${each_ms.toFixed(0)} ms)`);
  }
}

console.log(`four validators on ${cpus()[0].model}, ${cpus().length} cores; ${process.env.ASSAY}`);
await withNetwork(4, options, async (nodes, folder) => {
  limitGas(folder, PER_BLOCK * TRANSFER_GAS);
  await started(nodes);
  const floor = await floorOf(nodes[0]);
  row("engine floor, an empty block", `${floor.toFixed(1)} ms`, "1.0x");
  await transfers(nodes, floor);
  await finality(nodes);
  await lateJoin(nodes);
  if (steps >= 1_000) await memory(nodes);
  await agree(nodes, (await nodes[0].height()) - 20);
});
if (minilm) {
  await withNetwork(4, options, async (nodes, folder) => {
    limitGas(folder, 2_000_000_000);
    await started(nodes);
    await inference(nodes, folder);
    await agree(nodes, (await nodes[0].height()) - 20);
  });
} else row("MiniLM", "not measured", "give --minilm BUNDLE");
