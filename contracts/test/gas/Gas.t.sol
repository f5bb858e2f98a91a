// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model} from "../../src/interfaces/IInference.sol";
import {FeatureBuilder, FeatureRow} from "../../src/libraries/FeatureBuilder.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {Doubles, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {SolidityMlp} from "./SolidityMlp.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Measures what the library adds to bare calls of the precompile with the same calldata: the
/// precompile's own work, here the double's, is on both sides.
contract LibraryOverheadTest is Test {
    using FeatureBuilder for FeatureRow;
    using Inference for Model;

    Model internal constant MODEL = Model.wrap(keccak256("model"));
    uint256 internal constant TARGET = 3000;
    PrecompileDouble internal double;
    int256[] internal stored;

    function setUp() public {
        double = Doubles.install();
        double.setInfo(MODEL, Doubles.info("bad", "good"));
        int256[] memory two = new int256[](2);
        two[1] = 1;
        double.setAnswer(MODEL, two);
    }

    function ten() internal pure returns (int256[] memory features) {
        features = new int256[](10);
        for (uint256 i; i < 10; ++i) {
            features[i] = int256(i) * 1e18;
        }
    }

    function bare(bytes memory data) internal view returns (uint256 used) {
        address target = address(double);
        assembly ("memory-safe") {
            used := gas()
            if iszero(staticcall(gas(), target, add(data, 0x20), mload(data), 0, 0)) { invalid() }
            used := sub(used, gas())
        }
    }

    /// @dev Cost of the bare calls, measured warm: the library's calls come second.
    function barePredict() internal view returns (uint256) {
        bytes memory data = abi.encodeCall(IInference.predict, (MODEL, ten()));
        bare(data);
        return bare(data);
    }

    function bareBatch() internal view returns (uint256) {
        bytes memory data = abi.encodeCall(IInference.predictBatch, (MODEL, 1, ten()));
        bare(data);
        return bare(data);
    }

    function bareDescribe() internal view returns (uint256) {
        bytes memory data = abi.encodeCall(IInference.describe, (MODEL));
        bare(data);
        return bare(data);
    }

    function bareQuote() internal view returns (uint256) {
        bytes memory data = abi.encodeCall(IInference.quotePredict, (MODEL, 1));
        bare(data);
        return bare(data);
    }

    function keep(string memory name, uint256 used, uint256 floor) internal {
        assertLt(used - floor, TARGET, name);
        vm.snapshotValue("library-overhead", name, used - floor);
    }

    function test_predict() public {
        uint256 floor = barePredict();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        MODEL.predict(features);
        keep("predict", gas - gasleft(), floor);
    }

    function test_predictOne() public {
        int256[] memory one = new int256[](1);
        double.setAnswer(MODEL, one);
        uint256 floor = barePredict();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        MODEL.predictOne(features);
        keep("predictOne", gas - gasleft(), floor);
    }

    function test_probability() public {
        uint256 floor = barePredict() + bareDescribe();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        MODEL.probability("good", features);
        keep("probability", gas - gasleft(), floor);
    }

    function test_label() public {
        uint256 floor = barePredict() + bareDescribe();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        MODEL.label(features);
        keep("label", gas - gasleft(), floor);
    }

    function test_predictBatch() public {
        uint256 floor = bareBatch();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        MODEL.predictBatch(1, features);
        keep("predictBatch", gas - gasleft(), floor);
    }

    function test_quote() public {
        uint256 floor = bareQuote();
        uint256 gas = gasleft();
        MODEL.quote();
        keep("quote", gas - gasleft(), floor);
    }

    function test_tryPredict() public {
        uint256 floor = barePredict() + bareQuote();
        int256[] memory features = ten();
        uint256 gas = gasleft();
        (bool ok,,) = MODEL.tryPredict(features, 10_000);
        keep("tryPredict", gas - gasleft(), floor);
        assertTrue(ok);
    }

    function test_requireSchema() public {
        uint256 floor = bareDescribe();
        uint256 gas = gasleft();
        MODEL.requireSchema(keccak256("schema"));
        keep("requireSchema", gas - gasleft(), floor);
    }

    function test_feature_builder() public {
        uint256 floor = 2 * bareDescribe();
        uint256 gas = gasleft();
        FeatureRow memory row = FeatureBuilder.start(MODEL, keccak256("schema"));
        row.set("income", 1, 0).set("age", 41, 0).setCategory("home", "own").build();
        vm.snapshotValue("library-overhead", "feature builder, 3 features", gas - gasleft() - floor);
    }
}

/// @notice Checks and measures the network written in Solidity.
contract SolidityMlpTest is Test {
    int16[] internal w;
    int16[129] internal b;
    SolidityMlp internal mlp;

    function setUp() public {
        bytes memory code = new bytes(1 + 2 * (6208 + 129));
        // 64 rows of 30 weights and two of padding, 64 rows of 64, one row of 64, then the biases.
        for (uint256 i; i < 64 * 32 + 64 * 64 + 64; ++i) {
            int16 value = i < 64 * 32 && i % 32 >= 30 ? int16(0) : draw(i);
            w.push(value);
            put(code, i, value);
        }
        for (uint256 i; i < 129; ++i) {
            b[i] = draw(1e6 + i);
            put(code, 6208 + i, b[i]);
        }
        address source = makeAddr("weights");
        vm.etch(source, code);
        mlp = new SolidityMlp(source);
    }

    function put(bytes memory code, uint256 i, int16 value) internal pure {
        code[1 + 2 * i] = bytes1(uint8(uint16(value) >> 8));
        code[2 + 2 * i] = bytes1(uint8(uint16(value)));
    }

    function draw(uint256 i) internal pure returns (int16) {
        return int16(int256(uint256(keccak256(abi.encode(i))) % 2048) - 1024);
    }

    function plain(int256[30] memory x) internal view returns (int256) {
        int256[64] memory h1;
        int256[64] memory h2;
        int256 y;
        for (uint256 i; i < 64; ++i) {
            int256 sum;
            for (uint256 j; j < 30; ++j) {
                sum += int256(w[i * 32 + j]) * x[j];
            }
            sum = (sum >> 12) + b[i];
            h1[i] = sum > 0 ? sum : int256(0);
        }
        for (uint256 i; i < 64; ++i) {
            int256 sum;
            for (uint256 j; j < 64; ++j) {
                sum += int256(w[2048 + i * 64 + j]) * h1[j];
            }
            sum = (sum >> 12) + b[64 + i];
            h2[i] = sum > 0 ? sum : int256(0);
            y += int256(w[6144 + i]) * h2[i];
        }
        return (y >> 12) + b[128];
    }

    function test_the_optimised_network_is_right_and_its_gas_is_kept() public {
        for (uint256 n; n < 3; ++n) {
            int256[30] memory x;
            for (uint256 i; i < 30; ++i) {
                x[i] = int256(uint256(keccak256(abi.encode("x", n, i))) % 16_384) - 8192;
            }
            assertEq(mlp.predict(x), plain(x));
        }
        vm.snapshotGasLastCall("mlp", "30-64-64-1 in Solidity");
    }
}
