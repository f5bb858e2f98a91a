// Four validators in network namespaces: cut 2/2 and 3/1 and healed, then slow and lossy. Safety always, blocks after healing.
//   scripts/partition-test [SECONDS]
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { agree, ensure, pause, transfer, until, withNetwork } from "./network.mjs";

const seconds = Number(process.argv[2] ?? 20);
const INTERVAL_MS = 500;
const PROPOSE_MS = 1_000;
/// Longest wait for the first block after healing: dialling again, two rounds' timeouts, and a slow machine.
const HEALING_S = 60;
const FAULTY = { delay_ms: 200, loss: 0.02 };

/// The wire between the namespaces (tests/network/wire.py).
class Wire {
  constructor(count) {
    this.prefix = `assay${process.pid % 10_000}-`;
    const program = new URL("wire.py", import.meta.url).pathname;
    this.process = spawn("python3", [program, String(count), this.prefix], { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = new Promise((done) => this.process.once("exit", done));
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  async answer() {
    const { value, done } = await this.lines.next();
    ensure(!done, "the wire ended");
    return JSON.parse(value);
  }

  async say(...words) {
    this.process.stdin.write(`${words.join(" ")}\n`);
    const answer = await this.answer();
    ensure(!answer.error, answer.error);
    return answer;
  }

  async close() {
    this.process.stdin.end();
    await this.ended;
  }
}

/// Moves the nodes' ports from loopback to the addresses of their namespaces.
function move(nodes, prefix) {
  const homes = new Map();
  for (const node of nodes) {
    for (const listen of [node.url.slice(7), node.voting, node.gossip]) {
      homes.set(listen, `10.77.0.${node.index + 1}:${listen.split(":")[1]}`);
    }
  }
  for (const node of nodes) {
    node.configure((text) => text.replace(/127\.0\.0\.1:\d+/g, (address) => homes.get(address)));
    node.inside = ["ip", "netns", "exec", `${prefix}${node.index}`];
  }
}

const heights = (nodes) => Promise.all(nodes.map((node) => node.height()));
const least = async (nodes) => Math.min(...(await heights(nodes)));
const greatest = async (nodes) => Math.max(...(await heights(nodes)));

/// Sends transfers to all nodes until told to stop; those nodes that are cut off take theirs as well.
function load(nodes, chainId) {
  let [nonce, running] = [0, true];
  const work = (async () => {
    while (running) {
      if (await transfer(nodes, chainId, nonce)) nonce += 1;
      await pause(100);
    }
  })();
  return { stop: () => ((running = false), work.then(() => nonce)) };
}

/// Counts blocks of a group of nodes for so long.
async function blocks(nodes, time_s = seconds) {
  const before = await least(nodes);
  await pause(time_s * 1_000);
  return (await least(nodes)) - before;
}

/// Cuts the network, measures, heals it, and waits until every node decides blocks again.
async function cut(wire, nodes, groups, deciding) {
  const before = await blocks(nodes, 5);
  await wire.say("groups", ...groups.map((group) => group.join()));
  // What was under way when the cable was cut may still be decided by those who had heard enough.
  await pause(2_000);
  const tips = await heights(nodes);
  const during = deciding.length > 0 ? await blocks(deciding.map((index) => nodes[index])) : await blocks(nodes);
  const cutOff = nodes.filter((node) => !deciding.includes(node.index));
  for (const node of cutOff) {
    ensure((await node.height()) <= Math.max(tips[node.index], Math.max(...tips)), `node ${node.index} went on without a quorum`);
  }
  if (deciding.length === 0) ensure(during === 0, `${during} blocks without a quorum`);
  else ensure(during > 0, "the three that have a quorum stand still");
  const tip = await greatest(nodes);
  await wire.say("groups");
  const healed = Date.now();
  await until("a block after healing", async () => (await greatest(nodes)) > tip, HEALING_S);
  const first = (Date.now() - healed) / 1_000;
  await Promise.all(nodes.map((node) => node.reach(tip + 2, HEALING_S)));
  const all = (Date.now() - healed) / 1_000;
  const after = await blocks(nodes, 5);
  ensure(after > 0, "no blocks after healing");
  const name = groups.map((group) => group.length).join("/");
  console.log(
    `${name} for ${seconds + 2} s: blocks ${before} in the 5 s before, ${during} in ${seconds} s during, ${after} in the 5 s after; ` +
      `first block ${first.toFixed(1)} s after healing, all nodes beyond it after ${all.toFixed(1)} s`,
  );
}

const wire = new Wire(4);
try {
  const { namespaces } = await wire.answer();
  const options = ["--block-interval-ms", String(INTERVAL_MS), "--propose-timeout-ms", String(PROPOSE_MS)];
  await withNetwork(4, options, async (nodes) => {
    move(nodes, wire.prefix);
    nodes.forEach((node) => node.start());
    await Promise.all(nodes.map((node) => node.reach(2)));
    console.log(`four validators in ${namespaces.join(", ")}; a block every ${INTERVAL_MS} ms, propose timeout ${PROPOSE_MS} ms`);
    const chainId = Number(await nodes[0].call("eth_chainId"));
    const sending = load(nodes, chainId);
    console.log(`whole: ${await blocks(nodes)} blocks in ${seconds} s`);
    await cut(wire, nodes, [[0, 1], [2, 3]], []);
    await cut(wire, nodes, [[0, 1, 2], [3]], [0, 1, 2]);
    await cut(wire, nodes, [[0, 3], [1, 2]], []);
    await cut(wire, nodes, [[0], [1], [2], [3]], []);
    await wire.say("link", FAULTY.delay_ms, FAULTY.loss);
    console.log(`${FAULTY.delay_ms} ms each way and ${FAULTY.loss * 100}% of packets lost, from here on`);
    await pause(2_000);
    const slow = await blocks(nodes);
    ensure(slow > 0, "no blocks on a slow network");
    console.log(`slow and lossy: ${slow} blocks in ${seconds} s`);
    await cut(wire, nodes, [[0, 1], [2, 3]], []);
    await cut(wire, nodes, [[1, 2, 3], [0]], [1, 2, 3]);
    await wire.say("link", 0, 0);
    const fast = await least(nodes);
    await Promise.all(nodes.map((node) => node.reach(fast + 2, HEALING_S)));
    const sent = await sending.stop();
    await until("every transfer", async () => Number(await nodes[3].call("eth_getTransactionCount", ["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "latest"])) === sent);
    const tip = await least(nodes);
    for (let height = 1; height <= tip; ++height) await agree(nodes, height);
    for (const node of nodes) {
      const { voting } = await node.call("assay_status");
      ensure(voting.stopped === null, `node ${node.index} stopped voting`);
      ensure(Number(voting.counters.equivocations) === 0, "a validator signed two things");
      ensure(Number(voting.counters.divergences) === 0, "a node computed another result");
    }
    console.log(`${tip} heights agree on four nodes, ${sent} transfers, none lost; packets ${JSON.stringify(await wire.say("stats"))}`);
  });
} finally {
  await wire.close();
}
