// A validator's disk fills up, or turns read-only; so does that of `assay dev`.
//   scripts/disk-test [ROUNDS] [SEED]
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { closeSync, cpSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection, Node } from "../../benches/chain/node.mjs";
import { agree, ensure, hex, pause, random, transfer, until, withNetwork } from "../network/network.mjs";

const rounds = Number(process.argv[2] ?? 3);
const seed = process.argv[3] ?? "assay";
const next = random(seed);
const DISK_BYTES = 64 << 20;
/// Longest wait for a node to notice that its disk is gone, and end.
const NOTICE_S = 30;
const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ["ignore", "ignore", "pipe"] });

/// A small disk of its own: an ext4 file system in a file.
class Disk {
  constructor(image, place) {
    [this.image, this.place] = [image, place];
    const file = openSync(image, "w");
    ftruncateSync(file, DISK_BYTES);
    closeSync(file);
    run("mkfs.ext4", "-q", "-m", "0", image);
    mkdirSync(place, { recursive: true });
    this.mount();
  }

  mount() {
    run("mount", "-o", "loop", this.image, this.place);
  }

  protect() {
    run("mount", "-o", "remount,ro", this.place);
  }

  unmount() {
    run("umount", this.place);
  }

  /// Takes it away whatever state it is in: the namespace of this process ends with it in any case.
  close() {
    spawnSync("umount", ["-l", this.place]);
  }

  /// Takes all room but so many bytes.
  fill(spare_bytes) {
    const file = openSync(join(this.place, "filler"), "w");
    for (let size = 1 << 20; size >= 512; size >>= 1) {
      const chunk = Buffer.alloc(size, 1);
      try {
        for (;;) writeSync(file, chunk);
      } catch (error) {
        ensure(error.code === "ENOSPC", error.message);
      }
    }
    closeSync(file);
    const filled = Number(execFileSync("stat", ["-c", "%s", join(this.place, "filler")]));
    run("truncate", "-s", String(Math.max(0, filled - spare_bytes)), join(this.place, "filler"));
  }

  free() {
    rmSync(join(this.place, "filler"), { force: true });
  }

  /// Turns read-only at once, as a file system does whose device fails.
  fail() {
    run("mount", "-o", "remount,abort", this.place);
  }
}

/// Moves a validator's folder to a disk of its own.
function settle(folder, node) {
  const kept = `${node.folder}-kept`;
  renameSync(node.folder, kept);
  const disk = new Disk(join(folder, "disk.img"), node.folder);
  cpSync(kept, node.folder, { recursive: true });
  rmSync(kept, { recursive: true });
  // Its log lies elsewhere, so that what it says is not lost with the disk.
  node.log = join(folder, "log-of-the-poor");
  return disk;
}

const said = (node, from) => readFileSync(node.log, "utf8").slice(from);
const size = (node) => readFileSync(node.log, "utf8").length;

/// Waits until a node ends by itself, and returns its exit code.
async function ends(node, what) {
  return Promise.race([node.ended, pause(NOTICE_S * 1_000).then(() => ensure(false, `${what}: node ${node.index} did not end within ${NOTICE_S} s`))]);
}

/// Breaks a node's disk, checks what it says and that the others go on, mends it, and checks that it comes back whole.
async function suffer(nodes, poor, what, { breaks, mends, words }) {
  const others = nodes.filter((node) => node !== poor);
  const [from, began] = [size(poor), Date.now()];
  await breaks();
  const code = await ends(poor, what);
  const noticed = Date.now() - began;
  ensure(code === 1, `${what}: ended with ${code}`);
  const line = said(poor, from).split("\n").find((one) => one.startsWith("error:") && words.test(one));
  ensure(line, `${what}: no clear line in ${poor.log}`);
  ensure(/^ {2}try: /m.test(said(poor, from)), `${what}: no remedy`);
  const height = await others[0].height();
  await Promise.all(others.map((node) => node.reach(height + 3)));
  // A start on a broken disk is refused as clearly.
  const again = size(poor);
  poor.start();
  ensure((await ends(poor, `${what}, started again`)) === 1, `${what}: a start on the broken disk`);
  const refusal = said(poor, again).split("\n").find((one) => one.startsWith("error:"));
  ensure(refusal && words.test(refusal), `${what}: started again it says ${refusal}`);
  await mends();
  poor.start();
  const tip = await others[0].height();
  await poor.reach(tip + 2);
  const tips = await Promise.all(nodes.map((node) => node.height()));
  for (let one = 1; one <= Math.min(...tips); ++one) await agree(nodes, one);
  const { voting } = await poor.call("assay_status");
  ensure(voting.stopped === null, `${what}: it stopped voting`);
  await until(`${what}: a proposal of the restarted node`, async () => (await poor.counter("blocks_proposed")) > 0);
  console.log(`${what}: ended ${noticed} ms after; "${line}"; the others went on; ${Math.min(...tips)} heights agree after the restart`);
}

async function validators() {
  await withNetwork(4, ["--block-interval-ms", "200", "--propose-timeout-ms", "1000"], async (nodes, folder) => {
    const poor = nodes[0];
    const disk = settle(folder, poor);
    let running = true;
    try {
      nodes.forEach((node) => node.start());
      await Promise.all(nodes.map((node) => node.reach(2)));
      const chainId = Number(await nodes[1].call("eth_chainId"));
      let nonce = 0;
      const load = (async () => {
        while (running) {
          if (await transfer(nodes.slice(1), chainId, nonce)) nonce += 1;
          await pause(20);
        }
      })();
      for (let round = 0; round < rounds; ++round) {
        const spare = Math.floor(next() * (256 << 10));
        await suffer(nodes, poor, `full disk, ${spare >> 10} KiB left`, {
          breaks: () => disk.fill(spare),
          mends: () => disk.free(),
          words: /no space left/i,
        });
      }
      await suffer(nodes, poor, "disk turned read-only", {
        breaks: () => disk.fail(),
        mends: () => (disk.unmount(), disk.mount()),
        words: /read-only/i,
      });
      running = false;
      await load;
      await poor.kill("SIGTERM");
      poor.process = undefined;
    } finally {
      running = false;
      poor.process?.kill("SIGKILL");
      await poor.ended;
      disk.close();
    }
  });
}

async function dev() {
  const folder = mkdtempSync(join(tmpdir(), "assay-disk-"));
  const disk = new Disk(join(folder, "disk.img"), join(folder, "data"));
  const options = ["--no-examples", "--datadir", disk.place];
  const acknowledged = [];
  try {
    let node = await Node.start("assay", options);
    const [from] = await node.rpc.call("eth_accounts");
    const send = async () => acknowledged.push(await node.rpc.call("eth_sendTransaction", [{ from, to: from, value: "0x1" }]));
    for (let count = 0; count < 20; ++count) await send();
    disk.fill(64 << 10);
    let refusal;
    while (!refusal) await send().catch((error) => (refusal = error.message));
    ensure(/no space left/i.test(refusal), `assay dev says "${refusal}"`);
    await node.stop();
    disk.free();
    node = await Node.start("assay", options);
    for (const hash of acknowledged) {
      ensure((await node.rpc.call("eth_getTransactionReceipt", [hash]))?.status === "0x1", `${hash} was acknowledged and is lost`);
    }
    await send();
    console.log(`assay dev on a full disk: "${refusal}"; ${acknowledged.length} acknowledged transactions kept after the restart`);
    disk.fail();
    refusal = await send().then(() => undefined, (error) => error.message);
    ensure(/read-only/i.test(refusal ?? ""), `assay dev on a read-only disk says "${refusal}"`);
    await node.stop();
    disk.unmount();
    disk.mount();
    disk.protect();
    const started = spawn(process.env.ASSAY, ["dev", "--quiet", "--port", "0", ...options]);
    let text = "";
    started.stderr.on("data", (bytes) => (text += bytes));
    const code = await new Promise((done) => started.once("exit", done));
    ensure(code === 1 && /^error: .*read-only/im.test(text) && /^ {2}try: /m.test(text), `a start on a read-only disk: ${code} ${text}`);
    console.log(`assay dev on a read-only disk: "${refusal}"; a start says "${text.trim().replace(/\n\s*/, "; ")}"`);
  } finally {
    disk.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

await dev();
await validators();
