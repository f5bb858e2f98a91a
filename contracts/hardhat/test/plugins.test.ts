// Hardhat's own plugins against the node, as they run against their own network: viem, ethers, network helpers.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";
import { getAddress, parseEther } from "viem";

const { viem, ethers, networkHelpers } = await network.create("assay");
const row = [21_000n, 19_000n, 17_000n, -12_000n, 9_000n];
const unknown = `0x${"11".repeat(32)}` as const;
const someone = getAddress(`0x${"ab".repeat(20)}`);

describe("hardhat-viem", () => {
  it("deploys, reads and refuses by the error's name", async () => {
    const ask = await viem.deployContract("Ask");
    const inference = await viem.getContractAt("IInference", "0x0000000000000000000000000000000000000a11");
    assert.equal(await ask.read.last(), 0n);
    await assert.rejects(inference.read.predict([unknown, row]), /UnknownModel/);
  });
});

describe("hardhat-ethers", () => {
  it("deploys and keeps an answer", { skip: process.env.MODEL === undefined }, async () => {
    const ask = await ethers.deployContract("Ask");
    await (await ask.keep(process.env.MODEL, JSON.parse(process.env.FEATURES ?? "[]"))).wait();
    assert.notEqual(await ask.last(), 0n);
  });
});

describe("hardhat-network-helpers", () => {
  it("moves time and mines", async () => {
    const { time, mine } = networkHelpers;
    const [before, at] = [await time.latestBlock(), await time.latest()];
    await time.increase(3600);
    await mine(3, { interval: 60 });
    assert.equal(await time.latestBlock(), before + 4);
    assert((await time.latest()) >= at + 3600 + 120);
    await time.setNextBlockTimestamp((await time.latest()) + 500);
    await time.increaseTo((await time.latest()) + 1000);
  });

  it("sets balance, nonce, code and storage", async () => {
    const client = await viem.getPublicClient();
    await networkHelpers.setBalance(someone, parseEther("7"));
    assert.equal(await client.getBalance({ address: someone }), parseEther("7"));
    await networkHelpers.setNonce(someone, 9);
    assert.equal(await client.getTransactionCount({ address: someone }), 9);
    await networkHelpers.setCode(someone, "0x60016000f3");
    assert.equal(await client.getCode({ address: someone }), "0x60016000f3");
    await networkHelpers.setStorageAt(someone, 1n, `0x${"00".repeat(31)}2a`);
    assert.equal(BigInt(await networkHelpers.getStorageAt(someone, 1n)), 42n);
  });

  it("impersonates", async () => {
    const who = getAddress(`0x${"cd".repeat(20)}`);
    await networkHelpers.impersonateAccount(who);
    await networkHelpers.setBalance(who, parseEther("1"));
    const wallet = await viem.getWalletClient(who);
    const hash = await wallet.sendTransaction({ to: someone, value: 1n });
    const receipt = await (await viem.getPublicClient()).waitForTransactionReceipt({ hash });
    assert.equal(getAddress(receipt.from), who);
    await networkHelpers.stopImpersonatingAccount(who);
    await assert.rejects(wallet.sendTransaction({ to: someone, value: 1n }));
  });

  it("goes back to a snapshot and to a fixture", async () => {
    const { takeSnapshot, mine, time, loadFixture } = networkHelpers;
    const snapshot = await takeSnapshot();
    const block = await time.latestBlock();
    await mine(5);
    await snapshot.restore();
    assert.equal(await time.latestBlock(), block);
    const deploy = async () => viem.deployContract("Ask");
    const first = await loadFixture(deploy);
    const second = await loadFixture(deploy);
    assert.equal(first.address, second.address);
  });
});
