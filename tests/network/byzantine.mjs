// One of four validators is attacked: garbage, floods and oversize messages on its three ports, then tampered model bytes on
// its disk. The others go on, no stop is longer than two propose timeouts, and logs and metrics name the fault.
//   scripts/byzantine-test [SECONDS]
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { join } from "node:path";
import { account, agree, ensure, fresh, pause, publish, receipt, transfer, until, withNetwork } from "./network.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { encodeFunctionData, parseAbi, serializeTransaction } = await import(need.resolve("viem"));

const seconds = Number(process.argv[2] ?? 10);
const PROPOSE_MS = 2_000;
const MOST_QUIET_MS = 2 * PROPOSE_MS;
const MEMORY_MIB = 1_024;
const rss = (node) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${node.process.pid}/status`, "utf8"))[1]) / 1_024;

/// Connects, writes what it is given again and again until the other side hangs up or the time is over.
function throwAt(address, write, until_ms) {
  const [host, port] = address.split(":");
  return new Promise((done) => {
    const socket = net.connect(Number(port), host, () => {
      const next = () => {
        if (Date.now() > until_ms) return socket.destroy();
        if (!socket.destroyed) socket.write(write(), () => setImmediate(next));
      };
      next();
    });
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("close", () => done(socket.bytesWritten));
  });
}

/// Attacks an address with many connections at a time for so long; tells how many connections and bytes it took.
async function attack(address, write, count) {
  const end = Date.now() + seconds * 1_000;
  let [connections, bytes] = [0, 0];
  const one = async () => {
    while (Date.now() < end) {
      bytes += await throwAt(address, write, end);
      connections += 1;
    }
  };
  await Promise.all(Array.from({ length: count }, one));
  return `${connections} connections, ${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

/// Measures the longest time without a new block on some nodes while something happens.
async function during(what, nodes, victim, work) {
  let [longest, running, head, since] = [0, true, 0, Date.now()];
  const watch = (async () => {
    while (running) {
      const now = Math.max(...(await Promise.all(nodes.map((node) => node.height().catch(() => 0)))));
      if (now > head) [head, since] = [now, Date.now()];
      longest = Math.max(longest, Date.now() - since);
      await pause(20);
    }
  })();
  const said = await work();
  running = false;
  await watch;
  const mib = rss(victim);
  console.log(`${what}: ${said}; longest time without a block ${longest} ms of ${MOST_QUIET_MS} allowed; memory of the victim ${mib.toFixed(0)} MiB`);
  ensure(longest <= MOST_QUIET_MS, `${what}: ${longest} ms without a block`);
  ensure(mib < MEMORY_MIB, `${what}: ${mib.toFixed(0)} MiB`);
}

const metric = async (node, name) => {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(new RegExp(`^assay_${name} (\\d+)$`, "m").exec(text)?.[1]);
};

await withNetwork(4, ["--block-interval-ms", "300", "--propose-timeout-ms", String(PROPOSE_MS)], async (nodes, folder) => {
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.reach(2)));
  const [victim, ...others] = nodes;
  const chainId = Number(await victim.call("eth_chainId"));
  const genesis = (await victim.call("eth_getBlockByNumber", ["0x0", false])).hash;

  const garbage = () => randomBytes(64 << 10);
  await during("garbage on the consensus port", others, victim, () => attack(victim.voting, garbage, 16));
  await during("garbage on the network port", others, victim, () => attack(victim.gossip, garbage, 16));
  // A handshake that begins well, then a message that says it has 2 GiB.
  const oversize = () => Buffer.concat([Buffer.from("\x13/multistream/1.0.0\n\x07/noise\n", "latin1"), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07]), randomBytes(4 << 10)]);
  await during("oversize messages on both", others, victim, async () =>
    (await Promise.all([attack(victim.voting, oversize, 8), attack(victim.gossip, oversize, 8)])).join(" and "));
  await during("garbage on the RPC port", others, victim, () => attack(victim.url.slice(7), garbage, 16));
  await during("invalid transactions by RPC", others, victim, async () => {
    const end = Date.now() + seconds * 1_000;
    let [refused, taken] = [0, 0];
    while (Date.now() < end) {
      const batch = Array.from({ length: 100 }, (_, id) => ({ jsonrpc: "2.0", id, method: "eth_sendRawTransaction", params: [`0x02f8${randomBytes(120).toString("hex")}`] }));
      const answer = await fetch(victim.url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(batch) });
      for (const one of await answer.json()) one.error ? (refused += 1) : (taken += 1);
    }
    ensure(taken === 0 && refused > 0, `${taken} invalid transactions were taken`);
    return `${refused} refused`;
  });
  await during("a peer that floods transactions that are none", others, victim, async () => {
    const flood = spawn(process.env.FLOOD, [String(chainId), genesis, victim.gossip, String(seconds)]);
    let said = "";
    flood.stdout.on("data", (bytes) => (said += bytes));
    await new Promise((done) => flood.once("exit", done));
    return said.trim();
  });
  const failed = await metric(victim, "network_handshakes_failed");
  ensure(failed > 0, "garbage on the network port is not counted");
  const [bans, rejected] = [await metric(victim, "network_bans"), await metric(victim, "network_transactions_rejected")];
  const banned = victim.logged(/peer banned/);
  ensure(bans > 0 && rejected > 0 && banned.length > 0, `bans ${bans}, rejected ${rejected}, ${banned.length} lines`);
  console.log(`the victim names it: assay_network_handshakes_failed ${failed}, assay_network_bans ${bans}, assay_network_transactions_rejected ${rejected}, log "${banned[0].replace(/^.*WARN/, "WARN").slice(0, 160)}"`);
  let nonce = 0;
  const hash = await transfer(nodes, chainId, nonce++);
  const included = await receipt(victim, hash);
  await Promise.all(nodes.map((node) => node.reach(Number(included.blockNumber))));
  await agree(nodes, Number(included.blockNumber));

  // Model bytes that somebody changed on one node's disk.
  const id = publish(others[0], join(folder, "fresh.assay"), fresh(account.address.toLowerCase()));
  const predict = parseAbi(["function predict(bytes32 model, int256[] features) view returns (int256[])"]);
  const data = encodeFunctionData({ abi: predict, functionName: "predict", args: [id, [12_000n, 15_000n, 14_000n, 3_000n, 8_000n]] });
  const call = { from: account.address, to: "0x0000000000000000000000000000000000000a11", data };
  const answers = await Promise.all(nodes.map((node) => until(`the model on node ${node.index}`, () => node.call("eth_call", [call, "latest"]))));
  await victim.kill("SIGTERM");
  const models = join(victim.folder, "data", "models");
  const bundle = join(models, readdirSync(models).find((name) => name.includes(id.slice(2)) && name.endsWith(".assay")));
  const bytes = readFileSync(bundle);
  bytes[bytes.length - 40] ^= 1;
  writeFileSync(bundle, bytes);
  victim.start();
  await victim.reach(1);
  nonce = Number(await others[0].call("eth_getTransactionCount", [account.address, "pending"]));
  await during("tampered model bytes", others, victim, async () => {
    const fields = { chainId, nonce: nonce++, to: call.to, data, gas: 1_000_000n, maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
    const raw = await account.signTransaction(fields, { serializer: serializeTransaction });
    const sent = await others[0].call("eth_sendRawTransaction", [raw]);
    const found = await receipt(others[1], sent);
    ensure(found.status === "0x1", "the call failed");
    await victim.reach(Number(found.blockNumber) + 2);
    await agree(nodes, Number(found.blockNumber));
    return `called in block ${Number(found.blockNumber)}, the victim has it too`;
  });
  const damaged = victim.logged(/not the model's/);
  ensure(damaged.length > 0, "no line about the tampered bytes");
  ensure((await victim.call("eth_call", [call, "latest"])) === answers[0], "the victim answers other bits");
  ensure((await metric(victim, "network_models_fetched")) >= 1, "the victim did not fetch the model again");
  ensure(readFileSync(bundle)[bytes.length - 40] === (bytes[bytes.length - 40] ^ 1), "the bytes are still wrong");
  const tip = Math.min(...(await Promise.all(nodes.map((node) => node.height()))));
  for (let height = 1; height <= tip; ++height) await agree(nodes, height);
  const seen = await Promise.all(nodes.map((node) => node.call("assay_getDivergences")));
  ensure(seen.every((reports) => reports.length === 0), "a node voted on other results");
  console.log(`${tip} heights agree on four nodes; log "${damaged[0].replace(/^.*ERROR/, "ERROR").slice(0, 200)}"`);
});
