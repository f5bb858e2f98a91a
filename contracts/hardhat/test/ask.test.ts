// Deploys a contract on the node and asks a model; MODEL is an id published there and FEATURES a JSON list of
// integers. Without them the contract still deploys, and an unknown model must fail by its typed error.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { artifacts, network } from "hardhat";
import { decodeErrorResult, decodeFunctionResult, encodeFunctionData, parseAbi, type Hex } from "viem";

const { provider } = await network.create("assay");
const { abi, bytecode } = await artifacts.readArtifact("Ask");
const errors = parseAbi(["error UnknownModel(bytes32 model)"]);

async function mined(hash: string): Promise<any> {
  for (let i = 0; i < 100; ++i) {
    const receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [hash] });
    if (receipt !== null) return receipt;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`${hash} was not mined in 10 s`);
}

async function send(transaction: object): Promise<any> {
  const [from] = (await provider.request({ method: "eth_accounts" })) as string[];
  const hash = await provider.request({ method: "eth_sendTransaction", params: [{ from, ...transaction }] });
  const receipt = await mined(hash as string);
  assert.equal(receipt.status, "0x1");
  return receipt;
}

async function call(to: string, data: Hex): Promise<Hex> {
  return (await provider.request({ method: "eth_call", params: [{ to, data }, "latest"] })) as Hex;
}

const { contractAddress } = await send({ data: bytecode });

describe("a contract on an Assay node", () => {
  it("gets the typed error of an unknown model", async () => {
    const unknown: Hex = `0x${"11".repeat(32)}`;
    const data = encodeFunctionData({ abi, functionName: "ask", args: [unknown, [1n]] });
    const error: any = await call(contractAddress, data).then(
      () => assert.fail("answered"),
      (e) => e,
    );
    const revert: Hex = error.data?.data ?? error.data ?? error.cause?.data;
    assert.deepEqual(decodeErrorResult({ abi: errors, data: revert }).args, [unknown]);
  });

  it("keeps in a transaction the answer that a call gave", { skip: process.env.MODEL === undefined }, async () => {
    const model = process.env.MODEL as Hex;
    const features = (JSON.parse(process.env.FEATURES ?? "[]") as (string | number)[]).map(BigInt);
    const data = encodeFunctionData({ abi, functionName: "ask", args: [model, features] });
    const answer = decodeFunctionResult({ abi, functionName: "ask", data: await call(contractAddress, data) });
    await send({ to: contractAddress, data: encodeFunctionData({ abi, functionName: "keep", args: [model, features] }) });
    const kept = await call(contractAddress, encodeFunctionData({ abi, functionName: "last" }));
    assert.equal(decodeFunctionResult({ abi, functionName: "last", data: kept }), answer);
    console.log(`model ${model} answered ${answer}`);
  });
});
