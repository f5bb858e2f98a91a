// ethers v6, unchanged: deploy, call, send, wait, logs, subscriptions, estimates, errors by name.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Contract, ContractFactory, JsonRpcProvider, NonceManager, Wallet, WebSocketProvider, isCallException } from "ethers";
import * as f from "./fixture.mjs";

const node = new JsonRpcProvider(f.url, undefined, { polling: true, pollingInterval: 50, staticNetwork: true });
const signer = new NonceManager(new Wallet(f.key, node));
const precompile = new Contract(f.inference, f.inferenceAbi, node);
let ask;

before(async () => {
  ask = await new ContractFactory(f.ask.abi, f.ask.bytecode, signer).deploy();
  await ask.waitForDeployment();
});
after(() => node.destroy());

async function refusal(work) {
  const error = await work.then((value) => assert.fail(`answered ${value}`), (e) => e);
  assert(isCallException(error), String(error));
  return error.revert;
}

test("call, estimate, send, logs and stored answer agree", async () => {
  assert.equal(await ask.ask(f.volatility, f.row), f.answer);
  const gasLimit = await ask.keep.estimateGas(f.volatility, f.row);
  const sent = await ask.keep(f.volatility, f.row, { gasLimit });
  const receipt = await sent.wait();
  assert.equal(receipt.status, 1);
  const [kept] = await ask.queryFilter(ask.filters.Kept(f.volatility), receipt.blockNumber);
  assert.equal(kept.args.answer, f.answer);
  assert.equal(await ask.last(), f.answer);
});

test("heads and logs arrive over WebSocket", async () => {
  const live = new WebSocketProvider(f.webSocketUrl);
  const watched = new Contract(await ask.getAddress(), f.ask.abi, live);
  const log = new Promise((resolve) => watched.on("Kept", (model, answer, event) => resolve({ model, answer, event })));
  const head = new Promise((resolve) => live.on("block", resolve));
  await live.getBlockNumber();
  await live.send("eth_blockNumber", []);
  const sent = await ask.keep(f.volatility, f.row);
  const { model, answer, event } = await log;
  assert.deepEqual([model, answer, event.log.transactionHash], [f.volatility, f.answer, sent.hash]);
  assert.equal(await head, (await sent.wait()).blockNumber);
  await live.destroy();
});

for (const [method, args, name, values] of f.refusals) {
  test(`${name} of ${method} decodes by name`, async () => {
    const revert = await refusal(precompile[method](...args));
    assert.equal(revert.name, name);
    if (values) assert.deepEqual([...revert.args], values);
  });
}

test("a contract passes the precompile's error on, in calls and estimates", async () => {
  assert.equal((await refusal(ask.ask(f.unknown, f.row))).name, "UnknownModel");
  // ethers hands the revert data of an estimate over undecoded.
  const error = await ask.keep.estimateGas(f.unknown, f.row).then(() => assert.fail("estimated"), (e) => e);
  assert.equal(ask.interface.parseError(error.data).name, "UnknownModel");
});

test("a sent transaction that fails says so when it is waited for", async () => {
  const sent = await ask.keep(f.unknown, f.row, { gasLimit: 500_000n });
  const error = await sent.wait().then(() => assert.fail("succeeded"), (e) => e);
  assert(isCallException(error));
  assert.equal(error.receipt.status, 0);
});
