// A network of validators on this machine, each a process: made by `assay localnet --prepare`, run by `assay node run`.
import { spawn, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { recoverAddress, serializeTransaction } = await import(need.resolve("viem"));
const { privateKeyToAccount } = await import(need.resolve("viem/accounts"));

const assay = process.env.ASSAY ?? "target/debug/assay";
export const hex = (number) => `0x${BigInt(number).toString(16)}`;
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/// A generator of numbers in [0, 1) that a seed decides.
export function random(seed) {
  let count = 0;
  return () => createHash("sha256").update(`${seed},${count++}`).digest().readUInt32BE() / 2 ** 32;
}

export function ensure(holds, what) {
  if (!holds) throw new Error(what);
}

// The first of the usual development accounts; its key is public.
export const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
export const account = privateKeyToAccount(KEY);

/// Asks again and again until there is an answer.
export async function until(what, look, seconds = 90) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await pause(50);
  }
}

export class Validator {
  constructor(folder, index, program = assay) {
    this.folder = join(folder, `node-${index}`);
    this.index = index;
    this.program = program;
    this.log = join(this.folder, "log");
    this.readPorts();
  }

  start() {
    const log = openSync(this.log, "a");
    const args = ["node", "run", "--skip-doctor", "--examples", "--config", join(this.folder, "config.toml")];
    const [program, ...before] = [...(this.inside ?? []), this.program];
    this.process = spawn(program, [...before, ...args], { stdio: ["ignore", log, log] });
    this.ended = new Promise((done) => this.process.once("exit", (code, signal) => done(signal ?? code)));
  }

  /// Changes the node's configuration, as a person would edit it.
  configure(change) {
    const path = join(this.folder, "config.toml");
    writeFileSync(path, change(readFileSync(path, "utf8")));
    this.readPorts();
  }

  readPorts() {
    const text = readFileSync(join(this.folder, "config.toml"), "utf8");
    const listen = (section) => new RegExp(`\\[${section}\\][^[]*listen = "([^"]+)"`).exec(text)[1];
    this.url = `http://${listen("rpc")}`;
    this.voting = listen("consensus");
    this.gossip = listen("network");
  }

  async kill(signal = "SIGKILL") {
    this.process.kill(signal);
    return this.ended;
  }

  async call(method, params = []) {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(this.url, { method: "POST", headers, body, signal: AbortSignal.timeout(10_000) });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  height() {
    return this.call("eth_blockNumber").then(Number);
  }

  reach(height, seconds) {
    return until(`node ${this.index} at height ${height}`, async () => (await this.height()) >= height, seconds);
  }

  async counter(name) {
    return Number((await this.call("assay_status")).voting.counters[name]);
  }

  logged(pattern) {
    return readFileSync(this.log, "utf8").split("\n").filter((line) => pattern.test(line));
  }
}

/// Makes a network, hands it to `use`, and ends it whatever happens; its folder stays when something failed.
export async function withNetwork(count, options, use) {
  const folder = mkdtempSync(join(tmpdir(), "assay-network-"));
  const args = ["localnet", "--prepare", "--validators", String(count), "--dir", folder, ...options];
  execFileSync(assay, args, { stdio: ["ignore", "ignore", "inherit"] });
  const nodes = Array.from({ length: count }, (_, index) => new Validator(folder, index));
  try {
    await use(nodes, folder);
    await Promise.all(nodes.map((node) => node.process && node.kill("SIGTERM")));
    rmSync(folder, { recursive: true });
  } catch (error) {
    console.error(`logs are in ${folder}`);
    throw error;
  } finally {
    nodes.forEach((node) => node.process?.kill("SIGKILL"));
  }
}

/// Sends the account's transfer of a nonce to nodes; whoever of them proposes next includes it. Its hash, once one took it.
export async function transfer(nodes, chainId, nonce) {
  const to = `0x${(0x10_0000_0000n + BigInt(nonce)).toString(16).padStart(40, "0")}`;
  const fields = { chainId, nonce, to, value: 1n, gas: 21_000n, maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
  const raw = await account.signTransaction(fields, { serializer: serializeTransaction });
  const answers = await Promise.allSettled(nodes.map((node) => node.call("eth_sendRawTransaction", [raw])));
  return answers.find((answer) => answer.status === "fulfilled")?.value;
}

export async function receipt(node, hash) {
  return until(`receipt of ${hash} on node ${node.index}`, () => node.call("eth_getTransactionReceipt", [hash]));
}

/// Checks that all nodes have the same block at a height, decided by more than two thirds of the power.
export async function agree(nodes, height) {
  const blocks = await Promise.all(nodes.map((node) => node.call("eth_getBlockByNumber", [hex(height), false])));
  for (const field of ["hash", "stateRoot", "receiptsRoot", "requestsHash"]) {
    ensure(new Set(blocks.map((block) => block[field])).size === 1, `height ${height}: nodes differ in ${field}`);
  }
  for (const node of nodes) {
    const certificate = await node.call("assay_getCertificate", [hex(height)]);
    ensure(certificate.blockHash === blocks[0].hash, `height ${height}: certificate of another block`);
    const recovered = certificate.signatures.map((signature) => recoverAddress({ hash: certificate.digest, signature }));
    const accounts = (await Promise.all(recovered)).map((one) => one.toLowerCase());
    const signers = certificate.signers.map((signer) => signer.account.toLowerCase());
    ensure(accounts.join() === signers.join(), `height ${height}: ecrecover finds other signers`);
    ensure(new Set(accounts).size === accounts.length, `height ${height}: a signer twice`);
    ensure(3 * Number(certificate.signedPower) > 2 * Number(certificate.totalPower), `height ${height}: no quorum`);
  }
  return blocks[0];
}

/// Makes another model of an example: the same graph under another name and publisher.
export function fresh(publisher) {
  const bytes = readFileSync(new URL("../../precompile/runtime/models/volatility.assay", import.meta.url));
  const end = 16 + bytes.readUInt32LE(12);
  const manifest = JSON.parse(bytes.subarray(16, end).toString());
  // Rewritten in place: the manifest is canonical, its keys keep their order.
  const text = Buffer.from(JSON.stringify({ ...manifest, name: "fresh", publisher }));
  const header = Buffer.from(bytes.subarray(0, 16));
  header.writeUInt32LE(text.length, 12);
  return Buffer.concat([header, text, bytes.subarray(end)]);
}

/// Publishes a model through a node as an operator would, and returns its id.
export function publish(node, path, bundle) {
  writeFileSync(path, bundle);
  const told = execFileSync(assay, ["model", "publish", path, "--rpc", node.url, "--key", KEY, "--json"], { encoding: "utf8" });
  const published = JSON.parse(told);
  return published.id ?? published.model;
}
