// Abuses a node in the ways a hostile or broken client would, and checks that it answers others throughout and that its
// memory stays bounded.
//   scripts/abuse-test [SECONDS PER ABUSE]
import { createRequire } from "node:module";
import net from "node:net";
import { Connection, Node } from "../../benches/chain/node.mjs";
import { signed } from "../../benches/chain/transfers.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { WebSocket } = await import(need.resolve("ws")).then((ws) => ({ WebSocket: ws.WebSocket ?? ws.default }));
const seconds = Number(process.argv[2] ?? 5);
const MEMORY_LIMIT_MIB = 1_024;
const ANSWER_LIMIT_MS = 10_000;
const SLOTS = 20_000; // of storage writes and logs that the huge queries ask for
const hex = (number) => `0x${BigInt(number).toString(16)}`;
const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

const node = await Node.start("assay", ["--no-examples"]);
const other = new Connection(node.port);
const problems = [];
const problem = (text) => problems.push(text) && console.log(`FAILED ${text}`);

/// Sends bytes over a raw connection and waits for what comes back, or for the connection's end.
function raw(text, { wait = 2_000 } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(node.port, "127.0.0.1");
    let got = "";
    socket.on("data", (data) => (got += data));
    socket.on("error", () => resolve(got));
    socket.on("close", () => resolve(got));
    socket.setTimeout(wait, () => socket.destroy());
    socket.write(text);
  });
}
const post = (body, length = Buffer.byteLength(body)) => `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n${body}`;
const errorOf = async (method, params) => {
  const answer = JSON.parse(await new Connection(node.port).post(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params })));
  return answer.error;
};

/// Runs an abuse for some seconds, over and over, while another client asks for its nonce and sends a transaction.
async function during(name, abuse) {
  const until = performance.now() + seconds * 1_000;
  let [asked, slowest, done, rounds] = [0, 0, false, 0];
  const bystander = (async () => {
    while (!done) {
      const began = performance.now();
      const answer = await Promise.race([other.call("eth_getBalance", [`0x${"00".repeat(20)}`, "latest"]), pause(ANSWER_LIMIT_MS)]).catch((error) => problem(`${name}: a bystander got ${error.message}`));
      if (answer === undefined) problem(`${name}: no answer to a bystander in ${ANSWER_LIMIT_MS} ms`);
      slowest = Math.max(slowest, performance.now() - began);
      ++asked;
      await pause(20);
    }
  })();
  do {
    await abuse(rounds++);
  } while (performance.now() < until);
  done = true;
  await bystander;
  const mib = node.measure() / 1_024;
  console.log(`${name}: ${rounds} rounds; bystander: ${asked} answers, slowest ${slowest.toFixed(0)} ms; memory ${mib.toFixed(0)} MiB`);
  if (node.dead) throw new Error(`${name}: the node died`);
  if (mib > MEMORY_LIMIT_MIB) problem(`${name}: ${mib.toFixed(0)} MiB, over ${MEMORY_LIMIT_MIB}`);
}

// Code that emits `SLOTS` logs in blocks of 1,000: LOG0 in a loop whose count is the calldata.
const [account] = await other.call("eth_accounts");
const send = (transaction) => other.call("eth_sendTransaction", [{ from: account, ...transaction }]);
const create = async (runtime) => {
  const size = (runtime.length / 2).toString(16).padStart(2, "0");
  const hash = await send({ data: `0x60${size}80600b6000396000f3${runtime}`, gas: hex(1_000_000) });
  return (await other.call("eth_getTransactionReceipt", [hash])).contractAddress;
};
const logger = await create("6000355b60206000a060019003806003575000"); // n = calldata[0]; do { log0(0, 32) } while (--n)
const spinner = await create("5b600056"); // for ever
const grower = await create("60205b805160200180600256"); // memory without end
for (let i = 0; i < SLOTS / 1_000; ++i) await send({ to: logger, data: hex(1_000).replace("0x", `0x${"0".repeat(61)}`), gas: hex(5_000_000) });

await during("malformed JSON", async () => {
  const bodies = ["", "{", "[", "nul", '{"jsonrpc":"2.0"', "\u0000\u0001", '{"id":1,"method":3}', "[[]]", "[1,2,3]", '{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', `{"jsonrpc":"2.0","id":1,"method":"${"x".repeat(100_000)}"}`, "\ufeff{}", "[".repeat(100_000)];
  const answers = await Promise.all(bodies.map((body) => raw(post(body))));
  answers.forEach((answer, i) => answer.includes("HTTP/1.1") || problem(`no answer to ${bodies[i].slice(0, 20)}`));
});
await during("broken HTTP", async () => {
  await Promise.all(["GET / HTTP/1.1\r\n\r\n", "\r\n\r\n\r\n", `POST / HTTP/1.1\r\n${"a: b\r\n".repeat(5_000)}\r\n`, `${"A".repeat(100_000)}`, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", post("{}", 3)].map((text) => raw(text, { wait: 500 })));
});
await during("oversize bodies", async () => {
  const answer = await raw(post(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":["${"f".repeat(20 << 20)}"]}`), { wait: 5_000 });
  if (/"result"/.test(answer)) problem("a body of 20 MiB was answered");
  await raw(post("", 1e12), { wait: 200 });
});
await during("deep and long batches", async () => {
  const call = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}';
  const long = await raw(post(`[${Array(20_000).fill(call).join()}]`), { wait: 5_000 });
  if (!/error/.test(long)) problem("a batch of 20,000 was not refused");
  await raw(post(`[${Array(5_000).fill(call).join()}]`), { wait: 5_000 });
  await raw(post(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":${"[".repeat(50_000)}${"]".repeat(50_000)}}`));
});
const slow = [];
await during("slow clients", async () => {
  for (let i = 0; i < 100; ++i) {
    const socket = net.connect(node.port, "127.0.0.1").on("error", () => {});
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{");
    slow.push(socket);
    if (slow.length > 500) slow.shift().destroy();
  }
  slow.forEach((socket) => socket.writable && socket.write(" "));
  await pause(200);
});
slow.forEach((socket) => socket.destroy());
const idle = [];
await during("1,000 idle WebSockets, each subscribed", async () => {
  while (idle.length < 1_000) {
    const socket = new WebSocket(`ws://127.0.0.1:${node.port}`);
    socket.on("error", () => {});
    await new Promise((open) => socket.once("open", open).once("close", open));
    if (socket.readyState === WebSocket.OPEN) socket.send('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}');
    idle.push(socket);
  }
  await send({ to: account, value: "0x1" });
});
const open = idle.filter((socket) => socket.readyState === WebSocket.OPEN).length;
if (open < 1_000) problem(`only ${open} of 1,000 WebSockets stayed open`);
idle.forEach((socket) => socket.terminate());
await during("huge log queries", async () => {
  await Promise.all(Array.from({ length: 8 }, () => errorOf("eth_getLogs", [{ fromBlock: "0x0", toBlock: "latest" }])));
  if (!(await errorOf("eth_getLogs", [{ fromBlock: "0x0", toBlock: hex(2n ** 63n) }]))) await pause(1);
});
await during("bombs in eth_call and estimates", async () => {
  const bombs = [spinner, grower].flatMap((to) => [["eth_call", [{ to, gas: hex(2n ** 62n) }, "latest"]], ["eth_estimateGas", [{ to }]]]);
  const wide = ["eth_call", [{ data: `0x${"5b".repeat(49_000)}` }, "latest"]];
  const answers = await Promise.all([...bombs, wide].map(([method, params]) => errorOf(method, params)));
  answers.slice(0, 4).forEach((error, i) => error || problem(`bomb ${i} was answered`));
});
await during("bombs in debug_traceCall", async () => {
  const struct = await raw(post(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "debug_traceCall", params: [{ to: spinner, gas: hex(50_000_000) }, "latest", { tracer: "callTracer" }] })), { wait: 8_000 });
  if (!struct.includes("HTTP/1.1 200")) problem("no answer to a trace");
});
await during("invalid transactions of each kind", async (round) => {
  const nonce = Number(await other.call("eth_getTransactionCount", [account, "latest"]));
  const good = { nonce, to: account, value: 0n };
  const cases = {
    "not RLP": "0xdeadbeef",
    "empty": "0x",
    "truncated": signed(0, good).slice(0, -8),
    "unknown type": `0x7f${signed(0, good).slice(2)}`,
    "broken signature": signed(0, good).replace(/.{64}$/, "0".repeat(64)),
    "nonce too low": signed(0, { ...good, nonce: 0 }),
    "gas below the intrinsic": signed(0, { ...good, gas: 20_999n }),
    "gas above the limit": signed(0, { ...good, gas: 2n ** 60n }),
    "price below the base fee": signed(0, { ...good, price: 1n }),
    "more than the balance": signed(0, { ...good, value: 10n ** 30n }),
    "initcode too large": signed(0, { ...good, to: undefined, data: `0x${"00".repeat(50_000)}`, gas: 25_000_000n }),
  };
  for (const [what, transaction] of Object.entries(cases)) {
    const error = await errorOf("eth_sendRawTransaction", [transaction]);
    if (!error && round === 0) problem(`a transaction was accepted: ${what}`);
    else if (error && round === 0) console.log(`  ${what}: ${error.message.slice(0, 100)}`);
  }
});
await during("a flood of transactions far ahead", async (round) => {
  // Two accounts' future nonces can never be mined: the pool must forget, not grow.
  const calls = Array.from({ length: 100 }, (_, i) => ({ jsonrpc: "2.0", id: i, method: "eth_sendRawTransaction", params: [signed(1 + (round % 2), { nonce: 1_000_000 + round * 100 + i, to: account })] }));
  await other.post(JSON.stringify(calls));
});

const hash = await send({ to: account, value: "0x1" });
if (!(await other.call("eth_getTransactionReceipt", [hash]))) problem("the node does not mine any more");
console.log(`peak memory ${(node.peakKib / 1_024).toFixed(0)} MiB of ${MEMORY_LIMIT_MIB} allowed; ${problems.length} problems`);
other.close();
await node.stop();
process.exit(problems.length ? 1 : 0);
