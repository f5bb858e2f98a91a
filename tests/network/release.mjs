// A model's answer travels: decided by four validators, proven on a plain anvil, where it releases funds; then the set
// of validators changes and the light client follows it.
//   scripts/release-test
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hex, until, withNetwork } from "./network.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, encodeAbiParameters, encodeFunctionData, http, keccak256,
  parseAbi, parseEther, serializeTransaction, toFunctionSelector,
} = await import(need.resolve("viem"));
const { privateKeyToAccount } = await import(need.resolve("viem/accounts"));
const { foundry } = await import(need.resolve("viem/chains"));

const root = new URL("../../", import.meta.url);
const json = (path) => JSON.parse(readFileSync(new URL(path, root), "utf8"));
const artifact = (name) => json(`contracts/out/${name}.sol/${name}.json`);
const verifierOf = artifact("InferenceVerifier");
const releaseOf = artifact("AnswerRelease");

// The first of the usual development accounts; its key is public. It asks, and may change the validators.
const account = privateKeyToAccount("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
const PRECOMPILE = "0x0000000000000000000000000000000000000a11";
const VALIDATORS = "0x0000000000000000000000000000000000000a13";
const VOLATILITY = "0xa750e69ad44be5dee05ed66bcb3004b1259d6dabf9d707bf664e98edf7fefee9";
const FEATURES = [21_000n, 19_000n, 17_000n, -12_000n, 9_000n];
const ANSWER = 18_722_712_993_621_826n;
const BENEFICIARY = "0x00000000000000000000000000000000000befee";
const TRUSTING_PERIOD_S = 1_209_600n;
const inference = parseAbi(["function predict(bytes32 model, int256[] features) view returns (int256[])"]);
const set = parseAbi([
  "struct Change { address account; uint64 power; bytes32 x; bytes32 y; }",
  "function changeByAdmin(Change[] changes)",
  "function epochLength() view returns (uint64)",
]);

function ensure(holds, what) {
  if (!holds) throw new Error(what);
}

/// Hashes a set as the chain names it.
function setHash(validators) {
  const members = { type: "tuple[]", components: [{ name: "account", type: "address" }, { name: "power", type: "uint64" }] };
  return keccak256(encodeAbiParameters([members], [validators.map(({ account: of, power }) => ({ account: of, power: BigInt(power) }))]));
}

/// Sends a transaction to the network and waits for its block.
async function send(node, to, data) {
  const nonce = Number(await node.call("eth_getTransactionCount", [account.address, "pending"]));
  const chainId = Number(await node.call("eth_chainId"));
  const fields = { chainId, nonce, to, data, gas: 2_000_000n, maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
  const raw = await account.signTransaction(fields, { serializer: serializeTransaction });
  const hash = await node.call("eth_sendRawTransaction", [raw]);
  const receipt = await until(`receipt of ${hash}`, () => node.call("eth_getTransactionReceipt", [hash]));
  ensure(receipt.status === "0x1", `${hash} failed`);
  return receipt;
}

/// Asks the model in a transaction and takes the receipt that proves its answer.
async function ask(node) {
  const data = encodeFunctionData({ abi: inference, functionName: "predict", args: [VOLATILITY, FEATURES] });
  const { transactionHash } = await send(node, PRECOMPILE, data);
  const { receipt, abi } = await node.call("assay_getReceipt", [transactionHash, "0x0"]);
  return { receipt, abi, input: data };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/// Runs an anvil, which knows nothing of Assay, and ends it whatever happens.
async function withAnvil(use) {
  const [port, home] = [await freePort(), mkdtempSync(join(tmpdir(), "assay-anvil-"))];
  const program = new URL("contracts/node_modules/.bin/anvil", root).pathname;
  const child = spawn(program, ["--silent", "--port", String(port)], { env: { ...process.env, HOME: home }, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  const chain = createPublicClient({ chain: foundry, transport: http(url), pollingInterval: 50 });
  const wallet = createWalletClient({ account, chain: foundry, transport: http(url) });
  try {
    await until("anvil", () => chain.getChainId());
    await use({
      chain,
      async sent(hash) {
        const receipt = await chain.waitForTransactionReceipt({ hash });
        ensure(receipt.status === "success", `${hash} failed`);
        return receipt;
      },
      async deploy({ abi, bytecode }, args, value = 0n) {
        const hash = await wallet.deployContract({ abi, bytecode: bytecode.object, args, value });
        return (await this.sent(hash)).contractAddress;
      },
      async write(address, abi, functionName, args) {
        await chain.simulateContract({ account, address, abi, functionName, args });
        return this.sent(await wallet.writeContract({ address, abi, functionName, args }));
      },
      async refusal(address, abi, functionName, args) {
        const error = await chain.simulateContract({ account, address, abi, functionName, args }).then(() => undefined, (e) => e);
        ensure(error instanceof BaseError, `${functionName} was not refused`);
        return error.walk((e) => e instanceof ContractFunctionRevertedError)?.data?.errorName;
      },
      /// Brings anvil's clock to a block's time: blocks faster than a second run ahead of the clock.
      async reach(time) {
        const now = (await chain.getBlock()).timestamp;
        if (BigInt(time) > now) await chain.request({ method: "evm_setNextBlockTimestamp", params: [hex(time)] });
        if (BigInt(time) > now) await chain.request({ method: "evm_mine", params: [] });
      },
    });
  } finally {
    child.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  }
}

/// Turns a receipt's JSON into what viem encodes.
const numbers = (receipt) => ({
  ...receipt,
  record: { ...receipt.record, transactionIndex: Number(receipt.record.transactionIndex), callIndex: Number(receipt.record.callIndex), gas: BigInt(receipt.record.gas) },
  index: Number(receipt.index),
  count: Number(receipt.count),
  decision: decided(receipt.decision),
});
const decided = ({ header, round, signatures, validators }) => ({
  header,
  round: Number(round),
  signatures: `0x${signatures.map((one) => one.slice(2)).join("")}`,
  validators: validators.map((one) => ({ account: one.account, power: BigInt(one.power) })),
});

async function releases(anvil, node, verifier) {
  const asked = await ask(node);
  const receipt = numbers(asked.receipt);
  const output = encodeAbiParameters([{ type: "int256[]" }], [[ANSWER]]);
  const condition = { model: VOLATILITY, asker: account.address, since: 0n, atLeast: ANSWER };
  const escrow = await anvil.deploy(releaseOf, [verifier, BENEFICIARY, condition], parseEther("3"));
  const abi = [...releaseOf.abi, ...verifierOf.abi.filter((item) => item.type === "error")];

  // The bytes the node gives are the verifier's argument.
  const encoded = encodeFunctionData({ abi: verifierOf.abi, functionName: "verify", args: [receipt] });
  ensure(encoded === toFunctionSelector(verifierOf.abi.find((item) => item.name === "verify")) + asked.abi.slice(2), "abi differs from viem's encoding");

  const other = encodeAbiParameters([{ type: "int256[]" }], [[ANSWER + 1n]]);
  const forged = { ...receipt, record: { ...receipt.record, outputHash: keccak256(other) } };
  for (const [what, args, error] of [
    ["another output", [receipt, asked.input, other], "WrongOutput"],
    ["a forged record", [forged, asked.input, other], "WrongRequests"],
    ["a signature short", [{ ...receipt, decision: { ...receipt.decision, signatures: receipt.decision.signatures.slice(0, 2 + 130 * 2) } }, asked.input, output], "NoQuorum"],
  ]) {
    const refused = await anvil.refusal(escrow, abi, "release", args);
    ensure(refused === error, `${what}: refused with ${refused}, not ${error}`);
  }
  const done = await anvil.write(escrow, abi, "release", [receipt, asked.input, output]);
  ensure((await anvil.chain.getBalance({ address: BENEFICIARY })) === parseEther("3"), "the funds were not released");
  const { number } = await node.call("eth_getBlockByHash", [keccak256(receipt.decision.header), false]);
  const signatures = asked.receipt.decision.signatures.length;
  console.log(`an answer of block ${Number(number)} released 3 ether on anvil: ${done.gasUsed} gas, ${signatures} signatures`);
}

async function follows(anvil, node, verifier) {
  const asks = { to: VALIDATORS, data: encodeFunctionData({ abi: set, functionName: "epochLength" }) };
  const epoch = Number(await node.call("eth_call", [asks, "latest"]));
  const before = await node.call("assay_getValidators");
  const grown = { account: before.validators[0].account, power: BigInt(before.validators[0].power) + 50n, x: `0x${"00".repeat(32)}`, y: `0x${"00".repeat(32)}` };
  const changed = await send(node, VALIDATORS, encodeFunctionData({ abi: set, functionName: "changeByAdmin", args: [[grown]] }));
  const last = (Math.floor(Number(changed.blockNumber) / epoch) + 1) * epoch - 1;
  await node.reach(last + 2, 180);
  ensure((await node.call("assay_getSetUpdate", [hex(last - 1)])) === null, "a block in the middle of an epoch names a set");
  const update = await node.call("assay_getSetUpdate", [hex(last)]);
  const header = await node.call("eth_getBlockByNumber", [hex(last + 2), false]);
  const asked = numbers((await ask(node)).receipt);
  const early = await anvil.refusal(verifier, verifierOf.abi, "verify", [asked]);
  ensure(early === "WrongSet", `an unknown set: refused with ${early}`);
  await anvil.reach(BigInt(header.timestamp));
  const args = [decided(update.decision), update.nextSetHash, update.requestsBefore, update.requestsAfter];
  const { gasUsed } = await anvil.write(verifier, verifierOf.abi, "update", args);
  const [record] = await anvil.chain.readContract({ address: verifier, abi: verifierOf.abi, functionName: "verify", args: [asked] });
  ensure(record.model === VOLATILITY, "the receipt of the new set is of another model");
  console.log(`the light client followed the set that changed after block ${last}: ${gasUsed} gas; a receipt of the new set verifies`);
}

await withNetwork(4, ["--block-interval-ms", "300", "--propose-timeout-ms", "1500"], async (nodes) => {
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.reach(2)));
  const [node] = nodes;
  const [genesis, first] = await Promise.all(["0x0", "0x1"].map((at) => node.call("eth_getBlockByNumber", [at, false])));
  const { validators } = await node.call("assay_getValidators", ["0x0"]);
  await withAnvil(async (anvil) => {
    await anvil.reach(BigInt(first.timestamp) + 1n);
    const beginning = { from: 1n, confirmed: BigInt(genesis.timestamp), setHash: setHash(validators) };
    const chainId = BigInt(await node.call("eth_chainId"));
    const confirmed = BigInt(first.timestamp);
    const verifier = await anvil.deploy(verifierOf, [chainId, genesis.hash, { ...beginning, confirmed }, TRUSTING_PERIOD_S]);
    await releases(anvil, node, verifier);
    await follows(anvil, node, verifier);
  });
});
