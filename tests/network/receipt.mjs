// A receipt of our network, checked by a contract on another chain: a plain anvil that knows nothing of us.
//   scripts/receipt-test
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until, withNetwork } from "./network.mjs";

const need = createRequire(new URL("../clients/package.json", import.meta.url));
const { createPublicClient, createWalletClient, decodeAbiParameters, encodeFunctionData, http, keccak256, parseAbi } = await import(need.resolve("viem"));
const { privateKeyToAccount } = await import(need.resolve("viem/accounts"));

const assay = process.env.ASSAY;
const contracts = new URL("../../contracts/", import.meta.url).pathname;
// The first of the usual development accounts, on both chains; its key is public.
const account = privateKeyToAccount("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
/// Two weeks, in seconds.
const TRUSTING_PERIOD = 14n * 86_400n;
const MODEL = new URL("../../precompile/runtime/models/volatility.assay", import.meta.url).pathname;

function ensure(holds, what) {
  if (!holds) throw new Error(what);
}
const run = (...args) => execFileSync(assay, args, { encoding: "utf8", stdio: "pipe" });
function refused(...args) {
  try {
    run(...args);
  } catch (error) {
    return error.stderr.toString() + error.stdout.toString();
  }
  throw new Error(`${args.join(" ")}: was not refused`);
}

await withNetwork(4, ["--block-interval-ms", "200"], async (nodes, folder) => {
  nodes.forEach((node) => node.start());
  await Promise.all(nodes.map((node) => node.reach(2)));
  const chainId = Number(await nodes[0].call("eth_chainId"));
  const models = await nodes[0].call("assay_listModels");
  const model = models.find((one) => JSON.stringify(one).includes("volatility"));
  const predict = parseAbi(["function predict(bytes32 model, int256[] features) view returns (int256[])"]);
  const data = encodeFunctionData({ abi: predict, functionName: "predict", args: [model.id, [12_000n, 15_000n, 14_000n, 3_000n, 8_000n]] });
  const fields = { chainId, nonce: 0, to: "0x0000000000000000000000000000000000000a11", data, gas: 1_000_000n, maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 0n, type: "eip1559" };
  const raw = await account.signTransaction(fields);
  // One node is told; the others hear of it from their peers.
  const hash = await nodes[0].call("eth_sendRawTransaction", [raw]);
  await until("the receipt of the call", () => nodes[1].call("eth_getTransactionReceipt", [hash]));
  await until("its certificate", () => nodes[1].call("assay_getReceipt", [hash]));

  // Off the chain: the command, with the genesis and the bundle alone.
  const file = join(folder, "receipt.json");
  const genesis = join(folder, "genesis.json");
  run("receipt", hash, "--rpc", nodes[1].url, "--out", file);
  const said = run("verify", file, "--genesis", genesis, "--model", MODEL);
  ensure(!said.includes("FAILS") && !said.includes("not checked"), said);
  console.log(said.trimEnd());
  const parts = JSON.parse(readFileSync(file, "utf8"));
  const tampered = join(folder, "tampered.json");
  writeFileSync(tampered, JSON.stringify({ ...parts, output: `${parts.output.slice(0, -1)}${parts.output.endsWith("0") ? "1" : "0"}` }));
  ensure(/output/.test(refused("verify", tampered, "--genesis", genesis, "--model", MODEL)), "a changed output is named");
  ensure(/set/i.test(refused("verify", file, "--set", `0x${"11".repeat(32)}`)), "another set is refused");

  // On another chain: a light client that trusts our first validators.
  const proof = await nodes[1].call("assay_getReceipt", [hash]);
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const anvil = spawn(`${contracts}node_modules/.bin/anvil`, ["--port", String(port), "--silent"], { env: { ...process.env, HOME: mkdtempSync(join(tmpdir(), "anvil-")) }, stdio: "ignore" });
  try {
    const transport = http(`http://127.0.0.1:${port}`);
    const client = createPublicClient({ transport });
    await until("anvil", () => client.getChainId());
    const chain = { id: await client.getChainId(), name: "anvil", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: [] } } };
    const wallet = createWalletClient({ account, transport, chain });
    const artifact = JSON.parse(readFileSync(`${contracts}out/InferenceVerifier.sol/InferenceVerifier.json`, "utf8"));
    const { abi } = artifact;
    const bytecode = artifact.bytecode.object;
    const block = await nodes[1].call("eth_getBlockByNumber", ["0x0", false]);
    const beginning = { from: 1n, confirmed: BigInt(block.timestamp), setHash: proof.setHash };
    const args = [BigInt(proof.chainId), proof.genesisHash, beginning, TRUSTING_PERIOD];
    const deployed = await client.waitForTransactionReceipt({ hash: await wallet.deployContract({ abi, bytecode, args }) });
    const verifier = { address: deployed.contractAddress, abi };
    const shape = abi.find((one) => one.name === "verify").inputs;
    const [receipt] = decodeAbiParameters(shape, proof.abi);
    const [record, place] = await client.readContract({ ...verifier, functionName: "verify", args: [receipt] });
    ensure(record.model === model.id && place.id === proof.id, "the contract proves another record");
    const gas = await client.estimateContractGas({ ...verifier, account, functionName: "verify", args: [receipt] });
    await client.readContract({ ...verifier, functionName: "verifyAnswer", args: [receipt, parts.input, parts.output] });
    const forged = structuredClone(receipt);
    forged.record.outputHash = keccak256("0x00");
    const failed = await client.readContract({ ...verifier, functionName: "verify", args: [forged] }).then(() => false, () => true);
    ensure(failed, "a forged output was accepted");
    console.log(`on chain ${chain.id}: InferenceVerifier proves the record of block ${Number(proof.blockNumber)} for ${gas} gas, ${receipt.decision.signatures.length / 2 / 65 | 0} signatures`);
  } finally {
    anvil.kill();
  }
});
