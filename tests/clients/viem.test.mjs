// viem, unchanged: deploy, call, send, wait, logs, subscriptions, estimates, errors by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, decodeErrorResult,
  encodeFunctionData, http, keccak256, parseEther, webSocket,
} from "viem";
import { mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import * as f from "./fixture.mjs";

const account = privateKeyToAccount(f.key);
const node = createPublicClient({ chain: foundry, transport: http(f.url), pollingInterval: 50 });
const wallet = createWalletClient({ account, chain: foundry, transport: http(f.url) });

async function deployed() {
  const hash = await wallet.deployContract({ ...f.ask });
  const receipt = await node.getTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  return receipt.contractAddress;
}

async function refusal(work) {
  const error = await work.then((value) => assert.fail(`answered ${value}`), (e) => e);
  assert(error instanceof BaseError, String(error));
  const reverted = error.walk((e) => e instanceof ContractFunctionRevertedError);
  assert(reverted, String(error));
  return reverted.data;
}

test("a receipt exists as soon as the send returns", async () => {
  const hash = await wallet.sendTransaction({ to: "0x00000000000000000000000000000000000000aa", value: parseEther("1") });
  const receipt = await node.getTransactionReceipt({ hash });
  assert.equal(receipt.gasUsed, 21_000n);
});

test("call, estimate, send, logs and stored answer agree", async () => {
  const address = await deployed();
  const args = [f.volatility, f.row];
  const called = await node.readContract({ address, abi: f.ask.abi, functionName: "ask", args });
  assert.equal(called, f.answer);
  const { request } = await node.simulateContract({ account, address, abi: f.ask.abi, functionName: "keep", args });
  const gas = await node.estimateContractGas({ account, address, abi: f.ask.abi, functionName: "keep", args });
  const hash = await wallet.writeContract({ ...request, gas });
  const receipt = await node.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  assert(receipt.gasUsed <= gas);
  const [kept] = await node.getContractEvents({
    address, abi: f.ask.abi, eventName: "Kept", args: { model: f.volatility }, fromBlock: receipt.blockNumber,
  });
  assert.equal(kept.args.answer, f.answer);
  assert.equal(await node.readContract({ address, abi: f.ask.abi, functionName: "last" }), f.answer);
});

test("heads and logs arrive over WebSocket", async () => {
  const address = await deployed();
  const live = createPublicClient({ chain: foundry, transport: webSocket(f.webSocketUrl) });
  const heads = [];
  const logs = [];
  const onError = (error) => assert.fail(error);
  const stopHeads = live.watchBlocks({ onBlock: (block) => heads.push(block), onError });
  const stopLogs = live.watchContractEvent({
    address, abi: f.ask.abi, eventName: "Kept", onLogs: (seen) => logs.push(...seen), onError,
  });
  // viem does not tell when a subscription stands: send until both have been heard of.
  const sent = new Set();
  while (heads.length === 0 || logs.length === 0) {
    const args = [f.volatility, f.row];
    sent.add(await wallet.writeContract({ address, abi: f.ask.abi, functionName: "keep", args }));
    await new Promise((wake) => setTimeout(wake, 20));
  }
  assert(logs.every((log) => sent.has(log.transactionHash) && log.args.answer === f.answer));
  const { hash } = await node.getBlock({ blockNumber: heads[0].number });
  assert.equal(heads[0].hash, hash);
  stopHeads();
  stopLogs();
  (await live.transport.getRpcClient()).close();
});

for (const [functionName, args, name, values] of f.refusals) {
  test(`${name} of ${functionName} decodes by name`, async () => {
    const data = await refusal(node.readContract({ address: f.inference, abi: f.inferenceAbi, functionName, args }));
    assert.equal(data.errorName, name);
    if (values) assert.deepEqual(data.args.map((v) => (typeof v === "number" ? BigInt(v) : v)), values);
  });
}

test("a contract passes the precompile's error on", async () => {
  const address = await deployed();
  const args = [f.unknown, f.row];
  const of = { account, address, abi: f.ask.abi, functionName: "keep", args };
  assert.equal((await refusal(node.readContract({ ...of, functionName: "ask" }))).errorName, "UnknownModel");
  assert.equal((await refusal(node.simulateContract(of))).errorName, "UnknownModel");
  assert.equal((await refusal(node.estimateContractGas(of))).errorName, "UnknownModel");
  const hash = await wallet.writeContract({ ...of, gas: 500_000n });
  assert.equal((await node.waitForTransactionReceipt({ hash })).status, "reverted");
});

test("a model that waits for attestations is not active", async () => {
  const manifest = `0x${Buffer.from("bytes nobody holds").toString("hex")}`;
  const model = keccak256(manifest);
  const limits = await node.readContract({ address: f.registry, abi: f.registryAbi, functionName: "limits" });
  const summary = { publisher: account.address, size: 1000n, schemaHash: f.unknown };
  const hash = await wallet.writeContract({
    address: f.registry, abi: f.registryAbi, functionName: "register", args: [manifest, summary],
    value: BigInt(limits.depositPerByte) * summary.size,
  });
  assert.equal((await node.waitForTransactionReceipt({ hash })).status, "success");
  const asked = node.readContract({ address: f.inference, abi: f.inferenceAbi, functionName: "predict", args: [model, f.row] });
  const data = await refusal(asked);
  assert.equal(data.errorName, "ModelNotActive");
  assert.deepEqual(data.args, [model]);
});

test("a suspended model is refused by name, and answers again when it is reinstated", async () => {
  const validator = mnemonicToAccount(f.mnemonic, { path: f.validatorPath });
  const decided = async (functionName, digest) => {
    const of = { address: f.registry, abi: f.registryAbi };
    const hash = await node.readContract({ ...of, functionName: digest, args: [f.growth, "a test"] });
    const args = [f.growth, "a test", [await validator.sign({ hash })]];
    const sent = await wallet.writeContract({ ...of, functionName, args });
    assert.equal((await node.waitForTransactionReceipt({ hash: sent })).status, "success");
  };
  const asked = () => node.readContract({
    address: f.inference, abi: f.inferenceAbi, functionName: "predict", args: [f.growth, [10n ** 18n, 100n]],
  });
  await decided("suspend", "suspensionDigest");
  const data = await refusal(asked());
  await decided("reinstate", "reinstatementDigest");
  assert.equal(data.errorName, "ModelSuspended");
  assert.deepEqual(data.args, [f.growth]);
  assert.equal((await asked()).length, 1);
});

test("a delegated call is refused by name", async () => {
  const hash = await wallet.deployContract({ abi: [], bytecode: f.delegating });
  const { contractAddress: address } = await node.waitForTransactionReceipt({ hash });
  const asked = node.readContract({ address, abi: f.inferenceAbi, functionName: "predict", args: [f.volatility, f.row] });
  assert.equal((await refusal(asked)).errorName, "DirectCallOnly");
});

test("value and unknown methods are refused by name", async () => {
  const data = encodeFunctionData({ abi: f.inferenceAbi, functionName: "predict", args: [f.volatility, f.row] });
  for (const [call, name] of [[{ data, value: 1n }, "NotPayable"], [{ data: "0x01020304" }, "BadCalldata"]]) {
    const error = await node.call({ account, to: f.inference, ...call }).then(() => assert.fail("answered"), (e) => e);
    const raw = error.walk((e) => e.data !== undefined && typeof e.data === "string");
    assert.equal(decodeErrorResult({ abi: f.inferenceAbi, data: raw.data }).errorName, name);
  }
});

test("too little gas is out of gas, never a model's failure", async () => {
  const address = await deployed();
  const of = { account, address, abi: f.ask.abi, functionName: "keep", args: [f.volatility, f.row] };
  const estimate = await node.estimateContractGas(of);
  const error = await node.call({ to: f.inference, data: "0x", gas: 21_000n }).then(() => undefined, (e) => e);
  assert(error === undefined || error instanceof BaseError);
  const hash = await wallet.writeContract({ ...of, gas: estimate - 30_000n });
  const receipt = await node.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "reverted");
  const trace = await node.request({ method: "debug_traceTransaction", params: [hash, { tracer: "callTracer" }] });
  assert.match(trace.error, /out of gas|execution reverted/);
  assert.equal(trace.output ?? "0x", "0x", "no data that could pass for an error of the model");
});
