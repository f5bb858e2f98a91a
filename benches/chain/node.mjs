// Starts a node, ours or anvil, on a free port; watches its memory; stops it.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const MEMORY_LIMIT_KIB = 8 << 20;
const START_LIMIT_MS = 60_000;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/// One HTTP connection that is kept open.
export class Connection {
  constructor(port) {
    this.port = port;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  }

  post(body) {
    return new Promise((resolve, reject) => {
      const request = http.request(
        { port: this.port, host: "127.0.0.1", method: "POST", agent: this.agent, headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) } },
        (response) => {
          const chunks = [];
          response.on("data", (chunk) => chunks.push(chunk));
          response.on("end", () => resolve(Buffer.concat(chunks).toString()));
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      request.end(body);
    });
  }

  async call(method, params = []) {
    const answer = JSON.parse(await this.post(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
    if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result;
  }

  close() {
    this.agent.destroy();
  }
}

/// A running node.
export class Node {
  static async start(name, options = []) {
    const node = new Node();
    node.name = name;
    node.port = await freePort();
    // anvil writes its state below HOME.
    node.home = mkdtempSync(join(tmpdir(), "assay-bench-"));
    const command = {
      assay: [process.env.ASSAY ?? join(root, "target/release/assay"), "dev", "--quiet"],
      anvil: [join(root, "contracts/node_modules/.bin/anvil"), "--silent"],
    }[name];
    const began = performance.now();
    node.process = spawn(command[0], [...command.slice(1), "--port", String(node.port), ...options], {
      env: { ...process.env, HOME: node.home }, stdio: ["ignore", "ignore", "inherit"],
    });
    node.ended = new Promise((ended) => node.process.once("exit", (code, signal) => ended(signal ?? code)));
    node.process.once("exit", () => (node.dead = true));
    node.rpc = new Connection(node.port);
    for (;;) {
      const up = await node.rpc.call("eth_chainId").then(() => true, () => false);
      if (up) break;
      if (node.dead || performance.now() - began > START_LIMIT_MS) throw new Error(`${name} did not start`);
      await new Promise((wake) => setTimeout(wake, 2));
    }
    node.startMs = performance.now() - began;
    node.peakKib = 0;
    node.watch = setInterval(() => node.measure(), 100);
    return node;
  }

  measure() {
    try {
      const text = readFileSync(`/proc/${this.process.pid}/status`, "utf8");
      const kib = Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0);
      this.peakKib = Math.max(this.peakKib, kib);
      if (kib > MEMORY_LIMIT_KIB) this.process.kill("SIGKILL");
      return kib;
    } catch {
      return 0;
    }
  }

  async stop() {
    clearInterval(this.watch);
    this.rpc.close();
    this.process.kill();
    const late = setTimeout(() => this.process.kill("SIGKILL"), 5_000);
    await this.ended;
    clearTimeout(late);
    rmSync(this.home, { recursive: true, force: true });
  }
}
