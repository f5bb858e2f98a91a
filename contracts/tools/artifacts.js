// Writes, or compares, contracts/artifacts: what the node's genesis and the Rust side need of a build.
// One file per contract: name, ABI, bytecode and deployed bytecode, in the compiler's order, so that the
// same sources give the same bytes on every machine.
"use strict";

const fs = require("fs");
const path = require("path");

const root = path.join(__dirname, "..");
const target = path.join(root, "artifacts");

// Source folders whose contracts genesis holds, other chains deploy, or `assay demo` does.
const folders = ["system", "compat", "verify", "examples/straddle", "examples/demo"];

function* sources(folder) {
  if (!fs.existsSync(folder)) return;
  for (const item of fs.readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const at = path.join(folder, item.name);
    if (item.isDirectory()) yield* sources(at);
    else if (item.name.endsWith(".sol")) yield at;
  }
}

function build() {
  const files = new Map();
  for (const folder of folders) {
    for (const source of sources(path.join(root, "src", folder))) {
      const out = path.join(root, "out", path.basename(source));
      for (const file of fs.readdirSync(out).sort()) {
        const { abi, bytecode, deployedBytecode } = JSON.parse(fs.readFileSync(path.join(out, file), "utf8"));
        if (bytecode.object === "0x") continue; // interfaces and abstract contracts
        if (Object.keys(deployedBytecode.linkReferences || {}).length) throw new Error(`${file} needs linking`);
        const name = path.basename(file, ".json");
        if (files.has(file)) throw new Error(`two contracts are named ${name}`);
        const artifact = {
          contractName: name,
          sourceName: path.relative(root, source),
          abi,
          bytecode: bytecode.object,
          deployedBytecode: deployedBytecode.object,
        };
        files.set(file, JSON.stringify(artifact, null, 1) + "\n");
      }
    }
  }
  return files;
}

const mode = process.argv[2];
const built = build();
const committed = fs.existsSync(target) ? fs.readdirSync(target).filter((f) => f.endsWith(".json")) : [];
if (mode === "check") {
  const wrong = [...built.keys()].filter((f) => {
    const at = path.join(target, f);
    return !fs.existsSync(at) || fs.readFileSync(at, "utf8") !== built.get(f);
  });
  wrong.push(...committed.filter((f) => !built.has(f)));
  if (wrong.length) {
    console.error(`contracts/artifacts differs from the sources: ${wrong.join(", ")}; run scripts/build-contracts`);
    process.exit(1);
  }
  console.log(`${built.size} artifacts match the sources`);
} else {
  fs.mkdirSync(target, { recursive: true });
  for (const file of committed) if (!built.has(file)) fs.rmSync(path.join(target, file));
  for (const [file, text] of built) fs.writeFileSync(path.join(target, file), text);
  console.log(`${built.size} artifacts written`);
}
