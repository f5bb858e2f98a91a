// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {
    IOGInference,
    LlmInferenceMode,
    LlmInferenceRequest,
    ModelInferenceMode,
    ModelInferenceRequest,
    ModelInput,
    ModelOutput,
    Number,
    NumberTensor,
    StringTensor
} from "../../src/compat/IOGInference.sol";
import {OGInference} from "../../src/compat/OGInference.sol";
import {ColumnInfo, IInference, Model, ModelInfo} from "../../src/interfaces/IInference.sol";
import {FixedPoint} from "../../src/libraries/FixedPoint.sol";
import {Doubles, IRowFunction, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Predeploys} from "../system/Predeploys.sol";

contract Mirror is IRowFunction {
    function row(int256[] calldata features) external pure returns (int256[] memory) {
        return features;
    }
}

contract OGInferenceTest is Predeploys {
    OGInference internal og = OGInference(address(0xF4));
    PrecompileDouble internal double;
    Model internal model;

    function setUp() public {
        startChain(four());
        model = activate("model", summaryOf(makeAddr("publisher")));
        vm.deal(address(this), 1 ether);
        registry.claimNamespace{value: 1 ether}("acme");
        registry.publish("acme/credit", model);
        double = Doubles.install();
        double.setFunction(model, new Mirror());
        double.setInfo(model, info());
        vm.etch(address(og), type(OGInference).runtimeCode);
    }

    /// @dev Three features (18, 0 and 0 decimals) and, mirrored, three columns of 18 decimals.
    function info() internal pure returns (ModelInfo memory m) {
        m = Doubles.info("a", "b");
        ColumnInfo[] memory columns = new ColumnInfo[](3);
        for (uint256 i; i < 3; ++i) {
            columns[i] = m.columns[0];
        }
        m.columns = columns;
    }

    function flat(Number memory a, Number memory b, Number memory c) internal pure returns (ModelInput memory input) {
        input.numbers = new NumberTensor[](1);
        input.numbers[0].name = "input";
        input.numbers[0].values = new Number[](3);
        (input.numbers[0].values[0], input.numbers[0].values[1], input.numbers[0].values[2]) = (a, b, c);
        input.numbers[0].shape = new uint32[](1);
        input.numbers[0].shape[0] = 3;
    }

    function ask(ModelInput memory input) internal returns (bytes memory) {
        return send(ModelInferenceRequest(ModelInferenceMode.VANILLA, "acme/credit", input));
    }

    function askIt(ModelInput memory input) external {
        ask(input);
    }

    function sendIt(ModelInferenceRequest memory request) external {
        send(request);
    }

    /// @dev Answers the encoded output: the older code generator cannot decode it, so tests compare bytes.
    function send(ModelInferenceRequest memory request) internal returns (bytes memory) {
        (bool ok, bytes memory data) = address(og).call(abi.encodeCall(IOGInference.runModelInference, (request)));
        if (!ok) {
            assembly {
                revert(add(data, 0x20), mload(data))
            }
        }
        return data;
    }

    /// @dev What the interface promises for rows of three values at 18 decimals.
    function expected(int128[] memory values) internal pure returns (bytes memory) {
        ModelOutput memory output;
        output.numbers = new NumberTensor[](1);
        output.numbers[0].name = "output";
        output.numbers[0].shape = new uint32[](2);
        (output.numbers[0].shape[0], output.numbers[0].shape[1]) = (uint32(values.length / 3), 3);
        output.numbers[0].values = new Number[](values.length);
        for (uint256 i; i < values.length; ++i) {
            output.numbers[0].values[i] = Number(values[i], 18);
        }
        return abi.encode(output);
    }

    function test_selectors_are_the_published_ones() public pure {
        assertEq(IOGInference.runModelInference.selector, bytes4(0x7289e9c2));
    }

    function test_a_flat_tensor_is_a_row_and_the_answer_is_real() public {
        int128[] memory values = new int128[](3);
        (values[0], values[1], values[2]) = (1.5e18, 40, 1);
        assertEq(ask(flat(Number(15, 1), Number(4, -1), Number(1, 0))), expected(values));
    }

    function test_an_id_in_hex_names_a_model_too() public {
        ModelInput memory input = flat(Number(1, 0), Number(2, 0), Number(0, 0));
        string memory id = vm.toString(Model.unwrap(model));
        vm.recordLogs();
        send(ModelInferenceRequest(ModelInferenceMode.VANILLA, id, input));
        assertEq(
            vm.getRecordedLogs()[0].topics[0],
            keccak256(
                "ModelInferenceEvent(string,(uint8,string,((string,(int128,int128)[],uint32[])[],(string,string[])[])),((string,(int128,int128)[],uint32[])[],(string,string[])[],(string,string)[],bool))"
            )
        );
        assertEq(
            Model.unwrap(og.modelOf("0xABCDEF0000000000000000000000000000000000000000000000000000000000")) >> 232,
            bytes32(uint256(0xabcdef))
        );
        string[3] memory bad = ["QmHash", "0x12", "0xzz00000000000000000000000000000000000000000000000000000000000000"];
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(OGInference.BadModelId.selector, bad[i]));
            og.modelOf(bad[i]);
        }
    }

    function named() internal pure returns (ModelInput memory input) {
        input.numbers = new NumberTensor[](2);
        for (uint256 i; i < 2; ++i) {
            input.numbers[i].name = i == 0 ? "age" : "income";
            input.numbers[i].values = new Number[](2);
            input.numbers[i].values[0] = Number(int128(int256(30 + i)), 0);
            input.numbers[i].values[1] = Number(int128(int256(50 + i)), 0);
        }
        input.strings = new StringTensor[](1);
        input.strings[0].name = "home";
        input.strings[0].values = new string[](2);
        (input.strings[0].values[0], input.strings[0].values[1]) = ("rent", "own");
    }

    function test_tensors_by_feature_name_make_rows() public {
        double.setFunction(model, new Mirror());
        int128[] memory values = new int128[](6);
        (values[0], values[1], values[2]) = (31e18, 30, 7);
        (values[3], values[4], values[5]) = (51e18, 50, 3);
        assertEq(ask(named()), expected(values));
    }

    function test_proofs_that_do_not_exist_are_not_claimed() public {
        ModelInferenceRequest memory request;
        for (uint8 mode = 1; mode < 3; ++mode) {
            request.mode = ModelInferenceMode(mode);
            vm.expectRevert(abi.encodeWithSelector(OGInference.ModeNotSupported.selector, mode));
            this.sendIt(request);
        }
        LlmInferenceRequest memory llm;
        vm.expectRevert(OGInference.LanguageModelsNotSupported.selector);
        og.runLLMInference(llm);
        assertEq(uint8(LlmInferenceMode.TEE), 1);
    }

    function test_inputs_that_would_be_dropped_in_silence_are_refused() public {
        ModelInput memory input = named();
        input.strings[0].name = "house";
        vm.expectRevert(abi.encodeWithSelector(OGInference.UnknownInput.selector, "house"));
        this.askIt(input);
        input = named();
        input.numbers[1].name = "age";
        vm.expectRevert(abi.encodeWithSelector(OGInference.UnknownInput.selector, "age"));
        this.askIt(input);
        input = named();
        input.strings = new StringTensor[](0);
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadInput.selector, "home"));
        this.askIt(input);
        input = named();
        input.strings[0].values = new string[](1);
        input.strings[0].values[0] = "own";
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadInput.selector, "home"));
        this.askIt(input);
        input = named();
        input.strings[0].values[1] = "tent";
        vm.expectRevert(abi.encodeWithSelector(OGInference.UnknownCategory.selector, "home", "tent"));
        this.askIt(input);
        input = named();
        input.numbers[1].values = new Number[](0);
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadInput.selector, "income"));
        this.askIt(input);
    }

    function test_shapes_counts_and_scales_are_checked() public {
        ModelInput memory input = flat(Number(1, 0), Number(2, 0), Number(0, 0));
        input.numbers[0].shape[0] = 4;
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadShape.selector, "input"));
        this.askIt(input);
        input.numbers[0].shape = new uint32[](0);
        input.numbers[0].values = new Number[](2);
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadInput.selector, "income"));
        this.askIt(input);
        vm.expectRevert(abi.encodeWithSelector(OGInference.BadDecimals.selector, 37));
        this.askIt(flat(Number(1, 37), Number(2, 0), Number(0, 0)));
        vm.expectRevert(abi.encodeWithSelector(FixedPoint.PrecisionLost.selector, 25, 1, 0));
        this.askIt(flat(Number(1, 0), Number(25, 1), Number(0, 0)));
    }

    function test_answers_beyond_128_bits_and_models_without_schema_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(OGInference.AnswerTooLarge.selector, int256(type(int128).max) * 1e18));
        this.askIt(flat(Number(type(int128).max, 0), Number(2, 0), Number(0, 0)));
        ModelInfo memory m;
        double.setInfo(model, m);
        vm.expectRevert(abi.encodeWithSelector(OGInference.NoFeatureSchema.selector, model));
        this.askIt(flat(Number(1, 0), Number(2, 0), Number(0, 0)));
    }

    function test_the_precompiles_errors_come_through() public {
        double.setFailure(model, abi.encodeWithSelector(IInference.ModelSuspended.selector, model));
        vm.expectRevert(abi.encodeWithSelector(IInference.ModelSuspended.selector, model));
        this.askIt(flat(Number(1, 0), Number(2, 0), Number(0, 0)));
    }
}
