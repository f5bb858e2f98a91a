// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {OGInference} from "../src/compat/OGInference.sol";
import {IInference, Model, Tensor} from "../src/interfaces/IInference.sol";
import {IModelRegistry} from "../src/interfaces/IModelRegistry.sol";
import {IValidatorSet} from "../src/interfaces/IValidatorSet.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Makes one call inside `eth_call` and answers its outcome instead of reverting.
/// @dev Sent as creation code: what a constructor returns is the answer of the `eth_call`. So a typed
/// revert comes back as bytes, whatever a node writes into its error messages.
contract Catcher {
    constructor(address target, bytes memory data) {
        (bool ok, bytes memory answer) = target.staticcall(data);
        bytes memory outcome = abi.encode(ok, answer);
        assembly {
            return(add(outcome, 0x20), mload(outcome))
        }
    }
}

/// @title Bridge
/// @notice Forwards calls to the same address of a running node, from inside `forge test`.
abstract contract Bridge {
    /// @notice No node answered.
    error NoAssayNode(string url, string reason);

    Vm internal constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Answers where the node is.
    /// @return URL of the environment variable ASSAY_RPC_URL, or of a dev node on this machine.
    function nodeUrl() internal view returns (string memory) {
        return VM.envOr("ASSAY_RPC_URL", string("http://127.0.0.1:8545"));
    }

    /// @dev Asks the node; reverts only when there is none.
    function ask(address target, bytes memory data) internal returns (bool ok, bytes memory answer) {
        bytes memory code = abi.encodePacked(type(Catcher).creationCode, abi.encode(target, data));
        string memory params = string.concat('[{"data":"', VM.toString(code), '"},"latest"]');
        bytes memory call = abi.encodeWithSignature("rpc(string,string,string)", nodeUrl(), "eth_call", params);
        (bool reached, bytes memory result) = address(VM).call(call);
        if (!reached) {
            revert NoAssayNode(nodeUrl(), "no answer: start one with `assay dev`, or set ASSAY_RPC_URL");
        }
        bytes memory outcome = abi.decode(result, (bytes));
        if (outcome.length == 0) revert NoAssayNode(nodeUrl(), "the node answers eth_call with nothing");
        return abi.decode(outcome, (bool, bytes));
    }

    /// @dev Ends the call with the node's outcome.
    function give(bool ok, bytes memory answer) internal pure {
        assembly {
            switch ok
            case 0 { revert(add(answer, 0x20), mload(answer)) }
            default { return(add(answer, 0x20), mload(answer)) }
        }
    }
}

/// @notice Stands at the precompile's address and answers with a node's real inference.
/// @dev Burns the gas of the quote, as if the model were cold; without that much gas it consumes all and
/// returns nothing, as the precompile does.
contract InferenceBridge is Bridge {
    address private constant PRECOMPILE = address(0x0a11);

    fallback() external payable {
        if (msg.sender == address(this)) {
            assembly {
                invalid()
            }
        }
        if (address(this) != PRECOMPILE) revert IInference.DirectCallOnly();
        if (msg.value != 0) revert IInference.NotPayable();
        uint256 charge = quote(msg.data);
        burn(charge);
        (bool ok, bytes memory answer) = ask(PRECOMPILE, msg.data);
        give(ok, answer);
    }

    function quote(bytes calldata data) private returns (uint256) {
        bytes4 selector = bytes4(data);
        bytes memory call;
        if (selector == IInference.predict.selector && data.length >= 36) {
            call = abi.encodeCall(IInference.quotePredict, (Model.wrap(bytes32(data[4:36])), 1));
        } else if (selector == IInference.predictBatch.selector && data.length >= 68) {
            call = abi.encodeCall(
                IInference.quotePredict, (Model.wrap(bytes32(data[4:36])), uint256(bytes32(data[36:68])))
            );
        } else if (selector == IInference.run.selector) {
            (Model model, Tensor[] memory inputs) = abi.decode(data[4:], (Model, Tensor[]));
            uint64[][] memory shapes = new uint64[][](inputs.length);
            for (uint256 i; i < inputs.length; ++i) {
                shapes[i] = inputs[i].shape;
            }
            call = abi.encodeCall(IInference.quoteRun, (model, shapes));
        } else {
            return 0;
        }
        (bool ok, bytes memory answer) = ask(PRECOMPILE, call);
        if (!ok || answer.length != 64) return 0;
        (uint256 gas, uint256 coldExtra) = abi.decode(answer, (uint256, uint256));
        return gas + coldExtra;
    }

    /// @dev A call of this bridge to itself consumes all the gas it is given.
    function burn(uint256 charge) private view {
        if (gasleft() * 63 / 64 < charge) {
            assembly {
                invalid()
            }
        }
        assembly {
            pop(staticcall(charge, address(), 0, 0, 0, 0))
        }
    }
}

/// @notice Stands at a predeploy's address and answers reads from a node.
/// @dev A write would change nothing on the node, so it is refused instead of seeming to work.
contract ReadBridge is Bridge {
    /// @notice Publish models and names on the node itself; tests only read them.
    error ReadOnlyInTests(bytes4 selector);

    fallback() external payable {
        bytes4 selector = bytes4(msg.data);
        if (msg.value != 0 || writes(selector)) revert ReadOnlyInTests(selector);
        (bool ok, bytes memory answer) = ask(address(this), msg.data);
        give(ok, answer);
    }

    function writes(bytes4 s) private pure returns (bool) {
        bool models = s == IModelRegistry.register.selector || s == IModelRegistry.attest.selector
            || s == IModelRegistry.suspend.selector || s == IModelRegistry.reinstate.selector
            || s == IModelRegistry.deprecate.selector || s == IModelRegistry.offerModel.selector
            || s == IModelRegistry.acceptModel.selector || s == IModelRegistry.countAttested.selector;
        bool names = s == IModelRegistry.claimNamespace.selector || s == IModelRegistry.offerNamespace.selector
            || s == IModelRegistry.acceptNamespace.selector || s == IModelRegistry.publish.selector
            || s == IModelRegistry.cancelPublish.selector || s == IModelRegistry.setNameDelay.selector;
        bool set = s == IValidatorSet.change.selector || s == IValidatorSet.changeByAdmin.selector
            || s == IValidatorSet.offerAdmin.selector || s == IValidatorSet.acceptAdmin.selector
            || s == IValidatorSet.renounceAdmin.selector || s == IValidatorSet.sealGenesis.selector;
        return models || names || set;
    }
}

/// @title Assay bridges
/// @notice Puts the bridges in place; for scripts, whose first pass runs on this machine.
abstract contract AssayBridges {
    IModelRegistry internal constant REGISTRY = IModelRegistry(address(0x0a12));
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @notice Puts bridges where the chain has its precompile and predeploys.
    function startAssay() internal {
        _place(address(0x0a11), type(InferenceBridge).runtimeCode);
        _place(address(0x0a12), type(ReadBridge).runtimeCode);
        _place(address(0x0a13), type(ReadBridge).runtimeCode);
        VM.etch(address(0xF4), type(OGInference).runtimeCode);
    }

    /// @notice Resolves a registry name on the node.
    /// @param name Name `owner/name` or `owner/name@version`.
    /// @return model Model in force.
    function resolve(string memory name) internal view returns (Model model) {
        (model,,) = REGISTRY.resolve(name);
    }

    function _place(address at, bytes memory code) private {
        VM.etch(at, code);
        VM.allowCheatcodes(at);
    }
}

/// @title Assay test
/// @notice Base of tests in which models really answer: call `startAssay()` in `setUp`, keep a node running
/// (`assay dev`, with the models published there), and use models as on the chain.
abstract contract AssayTest is Test, AssayBridges {}
