// A network of validators on this machine, each a process: made by `assay localnet --prepare`, run by `assay node run`.
import { spawn, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const assay = process.env.ASSAY ?? "target/debug/assay";
export const hex = (number) => `0x${BigInt(number).toString(16)}`;
export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/// A generator of numbers in [0, 1) that a seed decides.
export function random(seed) {
  let count = 0;
  return () => createHash("sha256").update(`${seed},${count++}`).digest().readUInt32BE() / 2 ** 32;
}

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
    const text = readFileSync(join(this.folder, "config.toml"), "utf8");
    this.url = `http://${/\[rpc\][^[]*listen = "([^"]+)"/.exec(text)[1]}`;
    this.voting = /\[consensus\][^[]*listen = "([^"]+)"/.exec(text)[1];
  }

  start() {
    const log = openSync(this.log, "a");
    const args = ["node", "run", "--examples", "--config", join(this.folder, "config.toml")];
    this.process = spawn(this.program, args, { stdio: ["ignore", log, log] });
    this.ended = new Promise((done) => this.process.once("exit", (code, signal) => done(signal ?? code)));
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
