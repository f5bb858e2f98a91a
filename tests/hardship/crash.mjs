// Kills a node at random moments while it makes blocks, restarts it, and checks that nothing acknowledged is lost.
//   scripts/crash-test [ROUNDS] [SEED]
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection, Node } from "../../benches/chain/node.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { keccak256 } = await import(need.resolve("viem"));
const rounds = Number(process.argv[2] ?? 100);
const seed = process.argv[3] ?? "assay";
const SENDERS = 3;
const hex = (number) => `0x${BigInt(number).toString(16)}`;

// Round and purpose decide every random choice: the same seed kills at the same delays.
const random = (...what) => createHash("sha256").update([seed, ...what].join()).digest().readUInt32BE() / 2 ** 32;

const folder = mkdtempSync(join(tmpdir(), "assay-crash-"));
const acknowledged = []; // {hash, to, sender}, in the order the node answered
const settled = []; // receipts as they were after the first restart
const sent = Array(SENDERS).fill(0);
let slowestStart = 0;
let checked = 0;

function ensure(holds, what) {
  if (!holds) throw new Error(`round ${round}: ${what}`);
}

/// Sends from one account until the node dies; every third transaction deploys code, the others move ether.
async function load(port, from, sender) {
  const connection = new Connection(port);
  try {
    for (;;) {
      const to = `0x${(0x10_0000_0000n + BigInt(sender) * 1_000_000n + BigInt(sent[sender]++)).toString(16).padStart(40, "0")}`;
      const transaction = sent[sender] % 3 === 0 ? { from, data: "0x6001600155600060005360016000f3", gas: hex(200_000) } : { from, to, value: "0x1" };
      const hash = await connection.call("eth_sendTransaction", [transaction]);
      acknowledged.push({ hash, to: transaction.to, sender });
    }
  } catch (error) {
    // A dead node breaks the connection; an answer that is an error is a fault.
    ensure(!/^eth_/.test(error.message), error.message);
  } finally {
    connection.close();
  }
}

/// Checks a node that came back.
async function check(node) {
  const tip = await node.rpc.call("eth_getBlockByNumber", ["latest", false]);
  const proof = await node.rpc.call("eth_getProof", [`0x${"00".repeat(20)}`, [], "latest"]);
  ensure(keccak256(proof.accountProof[0]) === tip.stateRoot, "the state's root is not the tip's");
  if (settled.length > 0) {
    const last = settled.at(-1);
    ensure(BigInt(tip.number) >= BigInt(last.blockNumber), "the tip went back");
  }
  // All that is new, and some of what was checked before.
  const before = settled.length;
  for (let i = settled.length; i < acknowledged.length; ++i) {
    const receipt = await node.rpc.call("eth_getTransactionReceipt", [acknowledged[i].hash]);
    ensure(receipt?.status === "0x1", `${acknowledged[i].hash} was acknowledged and is lost`);
    if (acknowledged[i].to) {
      ensure((await node.rpc.call("eth_getBalance", [acknowledged[i].to, "latest"])) === "0x1", "a transfer is not in the state");
    }
    settled.push(receipt);
    ++checked;
  }
  for (let i = 0; i < Math.min(20, before); ++i) {
    const old = settled[Math.floor(random(round, "sample", i) * before)];
    const receipt = await node.rpc.call("eth_getTransactionReceipt", [old.transactionHash]);
    ensure(receipt?.blockHash === old.blockHash, "an old receipt changed");
  }
  // The chain of hashes is whole, back to the block of the last round's tip.
  let block = tip;
  for (let i = 0; i < 50 && block.number !== "0x0"; ++i) {
    const parent = await node.rpc.call("eth_getBlockByNumber", [hex(BigInt(block.number) - 1n), false]);
    ensure(parent.hash === block.parentHash, "the chain of hashes is broken");
    block = parent;
  }
}

let round = 0;
try {
  for (round = 1; round <= rounds; ++round) {
    const node = await Node.start("assay", ["--no-examples", "--datadir", folder]);
    slowestStart = Math.max(slowestStart, node.startMs);
    await check(node);
    const accounts = await node.rpc.call("eth_accounts");
    const before = acknowledged.length;
    const work = Array.from({ length: SENDERS }, (_, sender) => load(node.port, accounts[sender], sender));
    await new Promise((wake) => setTimeout(wake, 5 + random(round, "delay") * 400));
    node.process.kill("SIGKILL");
    await Promise.all(work);
    await node.stop();
    if (round % 10 === 0) console.log(`round ${round}: ${acknowledged.length - before} acknowledged before the kill, ${checked} checked so far`);
  }
  const node = await Node.start("assay", ["--no-examples", "--datadir", folder]);
  await check(node);
  const height = Number(await node.rpc.call("eth_blockNumber"));
  await node.stop();
  console.log(`${rounds} kills with seed ${seed}: ${checked} acknowledged transactions in ${height} blocks, none lost; slowest start ${slowestStart.toFixed(0)} ms`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
