// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {IInference, Model, ModelInfo, Tensor} from "../../src/interfaces/IInference.sol";
import {Inference} from "../../src/libraries/Inference.sol";
import {InferenceCall} from "../../src/libraries/InferenceCall.sol";
import {Doubles, IRowFunction, PrecompileDouble} from "../doubles/PrecompileDouble.sol";
import {Test} from "forge-std/Test.sol";

/// @notice Answers the features, the first one doubled.
contract Echo is IRowFunction {
    function row(int256[] calldata features) external pure returns (int256[] memory columns) {
        columns = features;
        if (columns.length != 0) columns[0] *= 2;
    }
}

/// @notice Gives the library's internal functions an external face.
contract Asker {
    using Inference for Model;

    function predict(Model m, int256[] memory f) external view returns (int256[] memory) {
        return m.predict(f);
    }

    function predictOne(Model m, int256[] memory f) external view returns (int256) {
        return m.predictOne(f);
    }

    function probability(Model m, string memory c, int256[] memory f) external view returns (int256) {
        return m.probability(c, f);
    }

    function label(Model m, int256[] memory f) external view returns (string memory) {
        return m.label(f);
    }

    function predictBatch(Model m, uint256 r, int256[] memory f) external view returns (int256[] memory) {
        return m.predictBatch(r, f);
    }

    function predictOneBatch(Model m, uint256 r, int256[] memory f) external view returns (int256[] memory) {
        return m.predictOneBatch(r, f);
    }

    function probabilityBatch(Model m, string memory c, uint256 r, int256[] memory f)
        external
        view
        returns (int256[] memory)
    {
        return m.probabilityBatch(c, r, f);
    }

    function labelBatch(Model m, uint256 r, int256[] memory f) external view returns (string[] memory) {
        return m.labelBatch(r, f);
    }

    function run(Model m, Tensor[] memory t) external view returns (Tensor[] memory) {
        return m.run(t);
    }

    function quotes(Model m) external view returns (uint256, uint256, uint256) {
        return (m.quote(), m.quoteBatch(3), m.quoteRun(new uint64[][](0)));
    }

    function describe(Model m) external view returns (ModelInfo memory) {
        return m.describe();
    }

    function requireSchema(Model m, bytes32 h) external view {
        m.requireSchema(h);
    }

    function columnOf(Model m, string memory c) external view returns (uint256) {
        return m.columnOf(c);
    }

    function tryPredict(Model m, int256[] memory f) external view returns (bool, int256[] memory, bytes memory) {
        return m.tryPredict(f);
    }

    function tryPredictOne(Model m, int256[] memory f, uint256 r) external view returns (bool, int256, bytes memory) {
        return m.tryPredictOne(f, r);
    }

    function tryPredictBatch(Model m, uint256 n, int256[] memory f, uint256 r)
        external
        view
        returns (bool, int256[] memory, bytes memory)
    {
        return m.tryPredictBatch(n, f, r);
    }

    function tryRun(Model m, Tensor[] memory t, uint256 r) external view returns (bool, Tensor[] memory, bytes memory) {
        return m.tryRun(t, r);
    }
}

contract InferenceTest is Test {
    Model internal constant MODEL = Model.wrap(keccak256("model"));
    PrecompileDouble internal double;
    Asker internal asker = new Asker();

    function setUp() public {
        double = Doubles.install();
        double.setInfo(MODEL, Doubles.info("bad", "good"));
        double.setFunction(MODEL, new Echo());
    }

    function values(int256 a, int256 b) internal pure returns (int256[] memory v) {
        v = new int256[](2);
        (v[0], v[1]) = (a, b);
    }

    function values(int256 a) internal pure returns (int256[] memory v) {
        v = new int256[](1);
        v[0] = a;
    }

    function testFuzz_predict_carries_every_word_both_ways(int256[] memory features) public {
        vm.assume(features.length != 0);
        features[0] /= 2;
        int256[] memory expected = new Echo().row(features);
        assertEq(asker.predict(MODEL, features), expected);
        assertEq(asker.predict(MODEL, features), IInference(address(double)).predict(MODEL, features));
    }

    function test_predictOne_wants_exactly_one_column() public {
        assertEq(asker.predictOne(MODEL, values(21)), 42);
        vm.expectRevert(abi.encodeWithSelector(Inference.NotOneColumn.selector, 2));
        asker.predictOne(MODEL, values(1, 2));
    }

    function test_probability_answers_the_column_of_the_class() public {
        assertEq(asker.probability(MODEL, "bad", values(3, 4)), 6);
        assertEq(asker.probability(MODEL, "good", values(3, 4)), 4);
        assertEq(asker.columnOf(MODEL, "good"), 1);
        vm.expectRevert(abi.encodeWithSelector(Inference.UnknownClass.selector, "ugly"));
        asker.probability(MODEL, "ugly", values(3, 4));
        vm.expectRevert(abi.encodeWithSelector(Inference.UnknownClass.selector, ""));
        asker.probability(MODEL, "", values(3, 4));
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.probability(MODEL, "good", values(3));
    }

    function test_label_is_the_greatest_and_the_first_of_equals() public {
        assertEq(asker.label(MODEL, values(3, 4)), "bad");
        assertEq(asker.label(MODEL, values(1, 4)), "good");
        assertEq(asker.label(MODEL, values(2, 4)), "bad");
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.label(MODEL, values(2));
    }

    function test_label_refuses_a_model_without_classes() public {
        double.setInfo(MODEL, Doubles.info("bad", ""));
        vm.expectRevert(Inference.NotClassifier.selector);
        asker.label(MODEL, values(1));
        double.setInfo(MODEL, Doubles.info("", "good"));
        vm.expectRevert(Inference.NotClassifier.selector);
        asker.label(MODEL, values(1, 2));
    }

    function test_batches_answer_row_by_row() public {
        int256[] memory rows = new int256[](4);
        (rows[0], rows[1], rows[2], rows[3]) = (1, 5, 9, 2);
        int256[] memory flat = asker.predictBatch(MODEL, 2, rows);
        assertEq(flat[0], 2);
        assertEq(flat[2], 18);
        int256[] memory good = asker.probabilityBatch(MODEL, "good", 2, rows);
        assertEq(good, values(5, 2));
        string[] memory labels = asker.labelBatch(MODEL, 2, rows);
        assertEq(labels[0], "good");
        assertEq(labels[1], "bad");
        assertEq(asker.predictOneBatch(MODEL, 4, rows).length, 4);
        vm.expectRevert(abi.encodeWithSelector(Inference.NotOneColumn.selector, 2));
        asker.predictOneBatch(MODEL, 2, rows);
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.probabilityBatch(MODEL, "good", 4, rows);
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.labelBatch(MODEL, 4, rows);
        vm.expectRevert(abi.encodeWithSelector(IInference.WrongInputCount.selector, 0, 4));
        asker.predictOneBatch(MODEL, 0, rows);
    }

    function tensors() internal pure returns (Tensor[] memory t) {
        t = new Tensor[](2);
        t[0] = Tensor({dtype: 1, shape: new uint64[](2), data: hex"0000803f"});
        t[1] = Tensor({dtype: 7, shape: new uint64[](0), data: hex"0100000000000000"});
    }

    function test_run_carries_tensors_unchanged() public view {
        Tensor[] memory t = tensors();
        assertEq(abi.encode(asker.run(MODEL, t)), abi.encode(t));
        (bool ok, Tensor[] memory out, bytes memory reason) = asker.tryRun(MODEL, t, 0);
        assertTrue(ok);
        assertEq(abi.encode(out), abi.encode(t));
        assertEq(reason, "");
    }

    function test_quotes_add_the_cold_surcharge() public {
        double.setCost(MODEL, 1000, 50);
        (uint256 one, uint256 three, uint256 run) = asker.quotes(MODEL);
        assertEq(one, 1050);
        assertEq(three, 3050);
        assertEq(run, 1050);
    }

    function test_describe_and_schema() public {
        assertEq(abi.encode(asker.describe(MODEL)), abi.encode(Doubles.info("bad", "good")));
        asker.requireSchema(MODEL, keccak256("schema"));
        vm.expectRevert(
            abi.encodeWithSelector(Inference.SchemaMismatch.selector, bytes32("other"), keccak256("schema"))
        );
        asker.requireSchema(MODEL, "other");
    }

    function test_typed_errors_come_through_plain_calls() public {
        Model unknown = Model.wrap("unknown");
        vm.expectRevert(abi.encodeWithSelector(IInference.UnknownModel.selector, unknown));
        asker.predict(unknown, values(1));
        bytes memory failure = abi.encodeWithSelector(IInference.NonFinite.selector, 3);
        double.setFailure(MODEL, failure);
        vm.expectRevert(failure);
        asker.predictOne(MODEL, values(1));
    }

    function test_try_calls_answer_typed_errors_as_reasons() public {
        bytes memory failure = abi.encodeWithSelector(IInference.ModelSuspended.selector, MODEL);
        double.setFailure(MODEL, failure);
        (bool ok, int256[] memory columns, bytes memory reason) = asker.tryPredict(MODEL, values(1));
        assertFalse(ok);
        assertEq(columns.length, 0);
        assertEq(reason, failure);
        Tensor[] memory out;
        (ok, out, reason) = asker.tryRun(MODEL, tensors(), 0);
        assertFalse(ok);
        assertEq(out.length, 0);
        assertEq(reason, failure);
        (ok, columns, reason) = asker.tryPredictBatch(MODEL, 1, values(1), 0);
        assertFalse(ok);
        assertEq(reason, failure);
        // The quote fails before the call does.
        Model unknown = Model.wrap("unknown");
        int256 value;
        (ok, value, reason) = asker.tryPredictOne(unknown, values(1), 0);
        assertFalse(ok);
        assertEq(value, 0);
        assertEq(reason, abi.encodeWithSelector(IInference.UnknownModel.selector, unknown));
    }

    function test_try_calls_answer() public view {
        (bool ok, int256[] memory columns, bytes memory reason) = asker.tryPredict(MODEL, values(1, 2));
        assertTrue(ok);
        assertEq(columns, values(2, 2));
        assertEq(reason, "");
        int256 value;
        (ok, value, reason) = asker.tryPredictOne(MODEL, values(7), 0);
        assertTrue(ok);
        assertEq(value, 14);
        (ok, value, reason) = asker.tryPredictOne(MODEL, values(7, 7), 0);
        assertFalse(ok);
        assertEq(reason, abi.encodeWithSelector(Inference.NotOneColumn.selector, 2));
        (ok, columns,) = asker.tryPredictBatch(MODEL, 2, values(1, 2), 0);
        assertTrue(ok);
        assertEq(columns, values(2, 4));
    }

    /// @dev Whatever gas comes in, a try call answers, or reverts with nothing or InsufficientGas: never
    /// "the model failed".
    function test_no_gas_limit_makes_a_good_model_look_failed() public {
        double.setCost(MODEL, 3_000_000, 200_000);
        uint256 answers;
        uint256 refusals;
        for (uint256 gas = 0; gas <= 6_800_000; gas += 25_000) {
            (bool success, bytes memory data) =
                address(asker).call{gas: gas}(abi.encodeCall(Asker.tryPredictOne, (MODEL, values(1), 100_000)));
            if (success) {
                (bool ok,,) = abi.decode(data, (bool, int256, bytes));
                assertTrue(ok);
                ++answers;
            } else if (data.length != 0) {
                assertEq(bytes4(data), InferenceCall.InsufficientGas.selector);
                ++refusals;
            }
        }
        assertGt(answers, 50);
        assertGt(refusals, 50);
    }

    /// @dev A failed model is a reason only when the gas would have done.
    function test_no_gas_limit_hides_a_failure_or_invents_one() public {
        double.setCost(MODEL, 3_000_000, 0);
        double.setFailure(MODEL, abi.encodeWithSelector(IInference.NonFinite.selector, 0));
        for (uint256 gas = 0; gas <= 6_000_000; gas += 50_000) {
            (bool success, bytes memory data) =
                address(asker).call{gas: gas}(abi.encodeCall(Asker.tryPredictOne, (MODEL, values(1), 100_000)));
            if (success) {
                (bool ok,, bytes memory reason) = abi.decode(data, (bool, int256, bytes));
                assertFalse(ok);
                assertEq(bytes4(reason), IInference.NonFinite.selector);
                assertGt(gas, 3_100_000);
            } else if (data.length != 0) {
                assertEq(bytes4(data), InferenceCall.InsufficientGas.selector);
            }
        }
    }

    function test_plain_calls_without_gas_revert_with_nothing() public {
        double.setCost(MODEL, 1_000_000, 0);
        (bool success, bytes memory data) =
            address(asker).call{gas: 500_000}(abi.encodeCall(Asker.predictOne, (MODEL, values(1))));
        assertFalse(success);
        assertEq(data.length, 0);
    }

    function test_a_chain_without_the_precompile_is_named() public {
        vm.etch(address(double), "");
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.predictOne(MODEL, values(1));
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.tryPredictOne(MODEL, values(1), 0);
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.run(MODEL, tensors());
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.columnOf(MODEL, "bad");
    }

    function test_malformed_answers_are_refused() public {
        double.setMalformed(MODEL);
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.predict(MODEL, values(1));

        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        this.askInfo(hex"01");
        ModelInfo memory info = Doubles.info("bad", "good");
        bytes memory encoded = abi.encode(info);
        // The columns' offset, then the first column's, then its label's and the label's length.
        uint256 columns = 32 + uint256(word(encoded, 12));
        refuse(encoded, 12 * 32);
        refuse(encoded, columns);
        refuse(encoded, columns + 32);
        uint256 column = columns + 32 + uint256(word(encoded, columns / 32 + 1));
        refuse(encoded, column + 32);
        refuse(encoded, column + uint256(word(encoded, column / 32 + 1)));
        double.setRawInfo(MODEL, new bytes(96));
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        asker.requireSchema(MODEL, 0);
    }

    function word(bytes memory data, uint256 index) internal pure returns (bytes32 w) {
        assembly {
            w := mload(add(add(data, 0x20), mul(index, 0x20)))
        }
    }

    function refuse(bytes memory encoded, uint256 at) internal {
        bytes memory broken = bytes.concat(encoded);
        assembly {
            mstore(add(add(broken, 0x20), at), sub(0, 0x20))
        }
        vm.expectRevert(InferenceCall.NoPrecompile.selector);
        this.askInfo(broken);
    }

    function askInfo(bytes memory info) external {
        double.setRawInfo(MODEL, info);
        asker.columnOf(MODEL, "good");
    }
}
