// What the JavaScript clients share: where the node is, what they deploy, and what each error case asks for.
import { readFileSync } from "node:fs";

const out = new URL("../../contracts/out/", import.meta.url);
const artifact = (name) => JSON.parse(readFileSync(new URL(`${name}.sol/${name}.json`, out), "utf8"));
const errorsOf = (abi) => abi.filter((item) => item.type === "error");

export const url = process.env.ASSAY_RPC_URL;
export const webSocketUrl = url.replace(/^http/, "ws");
// The first account of the usual development mnemonic.
export const key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
// The developer chain's one validator: its key hangs on the same mnemonic, apart from the accounts.
export const mnemonic = `${"test ".repeat(11)}junk`;
export const validatorPath = "m/44'/60'/1'/0/0";
export const inference = "0x0000000000000000000000000000000000000a11";
export const registry = "0x0000000000000000000000000000000000000a12";

export const inferenceAbi = artifact("IInference").abi;
export const registryAbi = artifact("IModelRegistry").abi;
// A contract that asks a model passes the precompile's errors on: its callers decode them by the same names.
export const ask = {
  abi: [...artifact("Ask").abi, ...errorsOf(inferenceAbi)],
  bytecode: artifact("Ask").bytecode.object,
};

// A contract that hands its calldata to the precompile by DELEGATECALL, and what comes back to its caller.
export const delegating = "0x601b8060095f395ff3365f5f375f5f365f610a115af43d5f5f3e6017573d5ffd5b3d5ff3";

export const volatility = process.env.MODEL_VOLATILITY;
export const growth = process.env.MODEL_GROWTH;
export const row = [21000n, 19000n, 17000n, -12000n, 9000n];
export const answer = 18722712993621826n;
export const unknown = `0x${"11".repeat(32)}`;

const one = 10n ** 18n;
const missing = -(2n ** 255n);
const none = [];
const elements = `0x${Buffer.from("elements of one tensor").toString("hex").padEnd(64, "0")}`;
const f32 = (shape, bytes) => ({ dtype: 1, shape, data: `0x${"00".repeat(bytes)}` });

// Every case: the method of the precompile, its arguments, the error's name and its values.
export const refusals = [
  ["predict", [unknown, row], "UnknownModel", [unknown]],
  ["predict", [volatility, row.slice(1)], "WrongInputCount", [5n, 4n]],
  ["predict", [growth, [one, 150n]], "NotInteger", [1n]],
  ["predict", [growth, [missing, 100n]], "MissingNotAllowed", [0n]],
  ["predict", [growth, [one, 100n * 2n ** 64n]], "InputOutOfRange", [1n]],
  ["predict", [growth, [1000n * one, 100n]], "NonFinite", [0n]],
  ["predict", [growth, [150n * one, 100n]], "OutOfRange", [0n]],
  ["run", [volatility, none], "WrongInputCount", [1n, 0n]],
  ["run", [volatility, [f32([1n, 4n], 16)]], "WrongShape", undefined],
  ["run", [volatility, [{ ...f32([1n, 5n], 40), dtype: 11 }]], "WrongType", [0n, 1n, 11n]],
  ["quoteRun", [volatility, [[2n ** 40n, 5n]]], "LimitExceeded", [elements, 2n ** 28n, 5n * 2n ** 40n]],
];
