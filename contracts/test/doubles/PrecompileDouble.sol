// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {
    CategoryInfo,
    ColumnInfo,
    FeatureInfo,
    IInference,
    Model,
    ModelInfo,
    Tensor
} from "../../src/interfaces/IInference.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Computes what a double answers for one row.
interface IRowFunction {
    function row(int256[] calldata features) external view returns (int256[] memory columns);
}

/// @notice Stands at the precompile's address in unit tests, to make it fail on demand and to count gas.
/// It is no model: real answers are tested against a node.
contract PrecompileDouble is IInference {
    struct Script {
        bool known;
        bytes failure;
        IRowFunction rowFunction;
        int256[] answer;
        uint256 gas;
        uint256 coldExtra;
        bytes info;
        bool malformed;
    }

    mapping(Model model => Script) internal scripts;

    function setAnswer(Model model, int256[] calldata answer) external {
        scripts[model].known = true;
        scripts[model].answer = answer;
        delete scripts[model].failure;
        scripts[model].malformed = false;
    }

    function setFunction(Model model, IRowFunction rowFunction) external {
        scripts[model].known = true;
        scripts[model].rowFunction = rowFunction;
        delete scripts[model].failure;
    }

    function setFailure(Model model, bytes calldata failure) external {
        scripts[model].known = true;
        scripts[model].failure = failure;
    }

    function setMalformed(Model model) external {
        scripts[model].known = true;
        scripts[model].malformed = true;
    }

    function setCost(Model model, uint256 gas, uint256 coldExtra) external {
        (scripts[model].gas, scripts[model].coldExtra) = (gas, coldExtra);
    }

    function setInfo(Model model, ModelInfo calldata info) external {
        scripts[model].known = true;
        scripts[model].info = abi.encode(info);
    }

    function setRawInfo(Model model, bytes calldata info) external {
        scripts[model].info = info;
    }

    function predict(Model model, int256[] calldata features) external view returns (int256[] memory) {
        Script storage script = _start(model, 1);
        return _row(script, features);
    }

    function predictBatch(Model model, uint256 rows, int256[] calldata features)
        external
        view
        returns (int256[] memory values)
    {
        Script storage script = _start(model, rows);
        if (rows == 0 || features.length % rows != 0) revert WrongInputCount(rows, features.length);
        uint256 width = features.length / rows;
        for (uint256 i; i < rows; ++i) {
            int256[] memory columns = _row(script, features[i * width:(i + 1) * width]);
            if (i == 0) values = new int256[](rows * columns.length);
            for (uint256 j; j < columns.length; ++j) {
                values[i * columns.length + j] = columns[j];
            }
        }
    }

    /// @dev Answers the inputs: enough to see that tensors travel unchanged.
    function run(Model model, Tensor[] calldata inputs) external view returns (Tensor[] memory outputs) {
        _start(model, 1);
        return inputs;
    }

    function quotePredict(Model model, uint256 rows) external view returns (uint256 gas, uint256 coldExtra) {
        if (!scripts[model].known) revert UnknownModel(Model.unwrap(model));
        return (scripts[model].gas * rows, scripts[model].coldExtra);
    }

    function quoteRun(Model model, uint64[][] calldata) external view returns (uint256 gas, uint256 coldExtra) {
        if (!scripts[model].known) revert UnknownModel(Model.unwrap(model));
        return (scripts[model].gas, scripts[model].coldExtra);
    }

    function describe(Model model) external view returns (ModelInfo memory) {
        bytes memory info = scripts[model].info;
        if (info.length == 0) revert UnknownModel(Model.unwrap(model));
        assembly {
            return(add(info, 0x20), mload(info))
        }
    }

    /// @dev Charges before anything runs, as the precompile does: without the gas, no data comes back.
    function _start(Model model, uint256 rows) private view returns (Script storage script) {
        script = scripts[model];
        uint256 charge = script.gas * rows + script.coldExtra;
        uint256 before = gasleft();
        if (before < charge + 30_000) {
            assembly {
                invalid()
            }
        }
        uint256 spent;
        while (before - gasleft() < charge) ++spent;
        if (!script.known) revert UnknownModel(Model.unwrap(model));
        bytes memory failure = script.failure;
        if (failure.length != 0) {
            assembly {
                revert(add(failure, 0x20), mload(failure))
            }
        }
        if (script.malformed) {
            assembly {
                mstore(0x00, 0x40)
                return(0x00, 0x20)
            }
        }
    }

    function _row(Script storage script, int256[] calldata features) private view returns (int256[] memory) {
        if (address(script.rowFunction) != address(0)) return script.rowFunction.row(features);
        return script.answer;
    }
}

/// @notice Puts the double where the precompile is.
library Doubles {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function install() internal returns (PrecompileDouble double) {
        double = PrecompileDouble(address(0x0a11));
        VM.etch(address(double), type(PrecompileDouble).runtimeCode);
    }

    function info(string memory positive, string memory negative) internal pure returns (ModelInfo memory model) {
        model.schemaHash = keccak256("schema");
        model.features = new FeatureInfo[](3);
        model.features[0] = FeatureInfo("income", "USD", 18, 0, 1e24, false, new CategoryInfo[](0));
        model.features[1] = FeatureInfo("age", "years", 0, 18, 120, true, new CategoryInfo[](0));
        CategoryInfo[] memory categories = new CategoryInfo[](2);
        // Codes are not positions.
        (categories[0], categories[1]) = (CategoryInfo(3, "own"), CategoryInfo(7, "rent"));
        model.features[2] = FeatureInfo("home", "", 0, 3, 7, false, categories);
        model.columns = new ColumnInfo[](bytes(negative).length == 0 ? 1 : 2);
        model.columns[0] = ColumnInfo("p0", positive, "", 18);
        if (model.columns.length == 2) model.columns[1] = ColumnInfo("p1", negative, "", 18);
    }
}
