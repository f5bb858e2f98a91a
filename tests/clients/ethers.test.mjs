// ethers v6, unchanged: deploy, call, send, wait, logs, subscriptions, estimates, errors by name.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, NonceManager, Wallet, WebSocketProvider, hexlify, isCallException, keccak256, toUtf8Bytes,
} from "ethers";
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

test("a model that waits for attestations is not active", async () => {
  const manifest = hexlify(toUtf8Bytes("bytes nobody holds, by ethers"));
  const registry = new Contract(f.registry, f.registryAbi, signer);
  const summary = { publisher: await signer.getAddress(), size: 1000n, schemaHash: f.unknown };
  const value = await registry.depositFor(summary.size);
  const receipt = await (await registry.register(manifest, summary, { value })).wait();
  assert.equal(receipt.status, 1);
  const revert = await refusal(precompile.predict(keccak256(manifest), f.row));
  assert.equal(revert.name, "ModelNotActive");
  assert.deepEqual([...revert.args], [keccak256(manifest)]);
});

test("too little gas is refused without data that could pass for an error of the model", async () => {
  const asked = precompile.predict(f.volatility, f.row, { gasLimit: 25_000n });
  const error = await asked.then((value) => assert.fail(`answered ${value}`), (e) => e);
  assert.equal(error.revert ?? null, null);
  assert.equal(error.data ?? null, null);
  assert.match(String(error.info?.error?.message ?? error.message), /gas/);
});

test("a suspended model is refused by name, and answers again when it is reinstated", async () => {
  const validator = HDNodeWallet.fromPhrase(f.mnemonic, undefined, f.validatorPath);
  const registry = new Contract(f.registry, f.registryAbi, signer);
  const decided = async (method, digest) => {
    const signature = validator.signingKey.sign(await registry[digest](f.growth, "a test")).serialized;
    assert.equal((await (await registry[method](f.growth, "a test", [signature])).wait()).status, 1);
  };
  const row = [10n ** 18n, 100n];
  await decided("suspend", "suspensionDigest");
  const revert = await refusal(precompile.predict(f.growth, row));
  await decided("reinstate", "reinstatementDigest");
  assert.equal(revert.name, "ModelSuspended");
  assert.deepEqual([...revert.args], [f.growth]);
  assert.equal((await precompile.predict(f.growth, row)).length, 1);
});

test("a delegated call is refused by name", async () => {
  const between = await (await signer.sendTransaction({ data: f.delegating })).wait();
  const revert = await refusal(precompile.attach(between.contractAddress).predict(f.volatility, f.row));
  assert.equal(revert.name, "DirectCallOnly");
});

test("value and unknown methods are refused by name", async () => {
  const data = precompile.interface.encodeFunctionData("predict", [f.volatility, f.row]);
  for (const [call, name] of [[{ data, value: 1n }, "NotPayable"], [{ data: "0x01020304" }, "BadCalldata"]]) {
    const asked = node.call({ to: f.inference, from: await signer.getAddress(), ...call });
    const error = await asked.then((value) => assert.fail(`answered ${value}`), (e) => e);
    assert.equal(precompile.interface.parseError(error.data).name, name);
  }
});

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
