// Hardhat 3 against an Assay node. Tests talk to the node (`assay dev`), where models really answer: Hardhat's
// own simulated network does not have the precompile.
import { fileURLToPath } from "node:url";
import { defineConfig } from "hardhat/config";
import ethers from "@nomicfoundation/hardhat-ethers";
import networkHelpers from "@nomicfoundation/hardhat-network-helpers";
import nodeTestRunner from "@nomicfoundation/hardhat-node-test-runner";
import viem from "@nomicfoundation/hardhat-viem";

export default defineConfig({
  plugins: [ethers, networkHelpers, nodeTestRunner, viem],
  solidity: {
    version: "0.8.26",
    // npm's wasm compiler: nothing is downloaded.
    path: fileURLToPath(new URL("node_modules/solc/soljson.js", import.meta.url)),
    // Its errors decode by name in every test.
    npmFilesToBuild: ["assay-contracts/src/interfaces/IInference.sol"],
    settings: { optimizer: { enabled: true, runs: 10_000 }, evmVersion: "cancun" },
  },
  networks: {
    assay: {
      type: "http",
      chainType: "l1",
      url: process.env.ASSAY_RPC_URL ?? "http://127.0.0.1:8545",
    },
  },
});
