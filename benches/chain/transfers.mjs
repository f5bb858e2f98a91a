// Signs transfers ahead of time and sends them in batches over several connections.
import { createRequire } from "node:module";
import { Connection } from "./node.mjs";

const need = createRequire(new URL("../../tests/clients/package.json", import.meta.url));
const { secp256k1 } = await import(need.resolve("@noble/curves/secp256k1"));
const { keccak_256 } = await import(need.resolve("@noble/hashes/sha3"));

// The first accounts of the usual development mnemonic; public keys of nobody's money.
const KEYS = [
  "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
  "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
  "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];
const CHAIN_ID = 31_337n;
const BATCH = 100;

const bytesOf = (number) => (number === 0n ? Buffer.alloc(0) : Buffer.from(number.toString(16).padStart(number.toString(16).length + (number.toString(16).length % 2), "0"), "hex"));
const head = (base, length) => (length < 56 ? Buffer.from([base + length]) : Buffer.concat([Buffer.from([base + 55 + bytesOf(BigInt(length)).length]), bytesOf(BigInt(length))]));
const text = (bytes) => (bytes.length === 1 && bytes[0] < 0x80 ? bytes : Buffer.concat([head(0x80, bytes.length), bytes]));
const list = (items) => { const body = Buffer.concat(items.map(text)); return Buffer.concat([head(0xc0, body.length), body]); };

/// Signs a legacy transaction of one of the accounts.
export function signed(account, { nonce, to, value = 0n, data = "0x", gas = 21_000n, price = 2_000_000_000n }) {
  const fields = [bytesOf(BigInt(nonce)), bytesOf(price), bytesOf(gas), to ? Buffer.from(to.slice(2), "hex") : Buffer.alloc(0), bytesOf(value), Buffer.from(data.slice(2), "hex")];
  const digest = keccak_256(list([...fields, bytesOf(CHAIN_ID), Buffer.alloc(0), Buffer.alloc(0)]));
  const { r, s, recovery } = secp256k1.sign(digest, KEYS[account]);
  return `0x${list([...fields, bytesOf(CHAIN_ID * 2n + 35n + BigInt(recovery)), bytesOf(r), bytesOf(s)]).toString("hex")}`;
}

/// Signs transfers, in batches per account, each account's in the order of its nonces.
export function batches(count) {
  const each = Math.ceil(count / KEYS.length);
  return KEYS.map((_, account) => {
    const bodies = [];
    for (let from = 0; from < each; from += BATCH) {
      const calls = [];
      for (let nonce = from; nonce < Math.min(from + BATCH, each); ++nonce) {
        const to = `0x${(BigInt(account + 1) * 1_000_000n + BigInt(nonce)).toString(16).padStart(40, "0")}`;
        calls.push({ jsonrpc: "2.0", id: nonce, method: "eth_sendRawTransaction", params: [signed(account, { nonce, to, value: 1n })] });
      }
      bodies.push(JSON.stringify(calls));
    }
    return bodies;
  });
}

/// Sends the batches of each account over a connection of its own and waits until all are included.
export async function included(node, work, count) {
  const began = performance.now();
  let refused = "";
  await Promise.all(work.map(async (bodies) => {
    const connection = new Connection(node.port);
    for (const body of bodies) {
      const answer = await connection.post(body);
      if (answer.includes('"error"')) refused ||= answer.slice(0, 300);
    }
    connection.close();
  }));
  if (refused) throw new Error(`refused: ${refused}`);
  for (;;) {
    const nonces = await Promise.all(ADDRESSES.map((address) => node.rpc.call("eth_getTransactionCount", [address, "latest"])));
    const total = nonces.reduce((sum, nonce) => sum + Number(nonce), 0);
    if (total >= count) break;
    await new Promise((wake) => setTimeout(wake, 10));
  }
  return count / ((performance.now() - began) / 1_000);
}

const ADDRESSES = KEYS.map((key) => `0x${Buffer.from(keccak_256(secp256k1.getPublicKey(key, false).slice(1))).toString("hex").slice(24)}`);
