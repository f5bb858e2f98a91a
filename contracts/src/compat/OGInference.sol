// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

import {FeatureInfo, Model, ModelInfo} from "../interfaces/IInference.sol";
import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {FixedPoint} from "../libraries/FixedPoint.sol";
import {Inference} from "../libraries/Inference.sol";
import {
    IOGInference,
    JsonScalar,
    LlmInferenceRequest,
    LlmResponse,
    ModelInferenceMode,
    ModelInferenceRequest,
    ModelInput,
    ModelOutput,
    Number,
    NumberTensor,
    StringTensor
} from "./IOGInference.sol";

/// @title OpenGradient compatibility
/// @notice Lets contracts written for OpenGradient run unchanged. Predeploy at 0xF4.
/// @dev The model is named by a registry name or by `0x` and its id in hex. VANILLA means recomputed by
/// every validator, which is more than the word promises there; ZK and TEE are not offered and revert,
/// because an answer must not claim a proof it does not have. The inputs are the model's features: either one
/// tensor that holds whole rows in schema order, or one tensor per feature, by name, strings for categories.
/// The output is one tensor named `output` with the columns of the primary output.
contract OGInference is IOGInference {
    using FixedPoint for int256;
    using Inference for Model;

    /// @notice The mode is not offered here.
    error ModeNotSupported(ModelInferenceMode mode);
    /// @notice Language models are not offered here.
    error LanguageModelsNotSupported();
    /// @notice The text is neither a registry name nor `0x` and 64 hex digits.
    error BadModelId(string modelCID);
    /// @notice The model has no feature schema: raw tensors need `IInference.run`.
    error NoFeatureSchema(bytes32 model);
    /// @notice No input names the feature, or its tensor does not hold one value per row.
    error BadInput(string feature);
    /// @notice An input names no feature of the model.
    error UnknownInput(string name);
    /// @notice A tensor's shape does not multiply to its values.
    error BadShape(string name);
    /// @notice The feature has no such category.
    error UnknownCategory(string feature, string category);
    /// @notice A number's decimals are outside -36 to 36.
    error BadDecimals(int128 decimals);
    /// @notice An answer does not fit the interface's 128-bit numbers.
    error AnswerTooLarge(int256 value);

    /// @dev The model registry's fixed address.
    IModelRegistry private constant REGISTRY = IModelRegistry(address(0x0a12));

    /// @inheritdoc IOGInference
    function runModelInference(ModelInferenceRequest memory request) external returns (ModelOutput memory output) {
        if (request.mode != ModelInferenceMode.VANILLA) revert ModeNotSupported(request.mode);
        Model model = modelOf(request.modelCID);
        ModelInfo memory info = model.describe();
        if (info.features.length == 0) revert NoFeatureSchema(Model.unwrap(model));

        (uint256 rows, int256[] memory row) = _readInput(request.input, info.features);
        int256[] memory columns = rows == 1 ? model.predict(row) : model.predictBatch(rows, row);
        output = _writeOutput(info, rows, columns);
        bytes32 id = keccak256(abi.encode(block.chainid, block.number, msg.sender, abi.encode(request)));
        emit ModelInferenceEvent(_toHex(id), request, output);
    }

    /// @inheritdoc IOGInference
    function runLLMInference(LlmInferenceRequest memory) external pure returns (LlmResponse memory) {
        revert LanguageModelsNotSupported();
    }

    /// @notice Answers the model a text names.
    /// @param modelCID Registry name, or `0x` and the id in hex.
    /// @return Model named.
    function modelOf(string memory modelCID) public view returns (Model) {
        bytes memory text = bytes(modelCID);
        if (text.length > 1 && text[0] == "0" && text[1] == "x") return Model.wrap(_fromHex(modelCID));
        for (uint256 i; i < text.length; ++i) {
            if (text[i] == "/") {
                (Model model,,) = REGISTRY.resolve(modelCID);
                return model;
            }
        }
        revert BadModelId(modelCID);
    }

    function _readInput(ModelInput memory input, FeatureInfo[] memory features)
        private
        pure
        returns (uint256 rows, int256[] memory row)
    {
        for (uint256 i; i < input.numbers.length; ++i) {
            _checkShape(input.numbers[i]);
        }
        if (input.numbers.length == 1 && input.strings.length == 0) {
            Number[] memory values = input.numbers[0].values;
            if (values.length == 0 || values.length % features.length != 0) revert BadInput(features[0].name);
            rows = values.length / features.length;
            row = new int256[](values.length);
            for (uint256 i; i < values.length; ++i) {
                row[i] = _scale(values[i], features[i % features.length].decimals);
            }
            return (rows, row);
        }
        _requireKnown(input, features);
        for (uint256 column; column < features.length; ++column) {
            int256[] memory values = _readFeature(input, features[column]);
            if (column == 0) {
                rows = values.length;
                if (rows == 0) revert BadInput(features[0].name);
                row = new int256[](rows * features.length);
            }
            if (values.length != rows) revert BadInput(features[column].name);
            for (uint256 i; i < rows; ++i) {
                row[i * features.length + column] = values[i];
            }
        }
    }

    /// @dev Reads the one tensor that has the feature's name.
    function _readFeature(ModelInput memory input, FeatureInfo memory feature)
        private
        pure
        returns (int256[] memory values)
    {
        bytes32 wanted = keccak256(bytes(feature.name));
        for (uint256 i; i < input.numbers.length; ++i) {
            if (keccak256(bytes(input.numbers[i].name)) != wanted) continue;
            Number[] memory numbers = input.numbers[i].values;
            values = new int256[](numbers.length);
            for (uint256 j; j < numbers.length; ++j) {
                values[j] = _scale(numbers[j], feature.decimals);
            }
            return values;
        }
        for (uint256 i; i < input.strings.length; ++i) {
            if (keccak256(bytes(input.strings[i].name)) != wanted) continue;
            string[] memory texts = input.strings[i].values;
            values = new int256[](texts.length);
            for (uint256 j; j < texts.length; ++j) {
                values[j] = _category(feature, texts[j]);
            }
            return values;
        }
        revert BadInput(feature.name);
    }

    /// @dev A tensor that no feature reads, or a second one for the same feature, would be dropped in silence.
    function _requireKnown(ModelInput memory input, FeatureInfo[] memory features) private pure {
        uint256 count = input.numbers.length + input.strings.length;
        bool[] memory taken = new bool[](features.length);
        for (uint256 i; i < count; ++i) {
            string memory name =
                i < input.numbers.length ? input.numbers[i].name : input.strings[i - input.numbers.length].name;
            bytes32 hash = keccak256(bytes(name));
            uint256 at;
            while (at < features.length && keccak256(bytes(features[at].name)) != hash) ++at;
            if (at == features.length || taken[at]) revert UnknownInput(name);
            taken[at] = true;
        }
    }

    function _checkShape(NumberTensor memory tensor) private pure {
        uint256 count = 1;
        for (uint256 i; i < tensor.shape.length; ++i) {
            count *= tensor.shape[i];
        }
        if (tensor.shape.length != 0 && count != tensor.values.length) revert BadShape(tensor.name);
    }

    function _category(FeatureInfo memory feature, string memory text) private pure returns (int256) {
        bytes32 wanted = keccak256(bytes(text));
        for (uint256 i; i < feature.categories.length; ++i) {
            if (keccak256(bytes(feature.categories[i].label)) == wanted) {
                return int256(feature.categories[i].code).whole(feature.decimals);
            }
        }
        revert UnknownCategory(feature.name, text);
    }

    function _scale(Number memory number, uint8 decimals) private pure returns (int256) {
        int128 from = number.decimals;
        if (from < -36 || from > 36) revert BadDecimals(from);
        if (from >= 0) return int256(number.value).rescale(uint8(uint128(from)), decimals);
        return int256(number.value).whole(uint8(uint128(-from))).whole(decimals);
    }

    function _writeOutput(ModelInfo memory info, uint256 rows, int256[] memory columns)
        private
        pure
        returns (ModelOutput memory output)
    {
        uint256 width = info.columns.length;
        Number[] memory values = new Number[](columns.length);
        for (uint256 i; i < columns.length; ++i) {
            int256 value = columns[i];
            if (value > type(int128).max || value < type(int128).min) revert AnswerTooLarge(value);
            values[i] = Number(int128(value), int128(uint128(info.columns[i % width].decimals)));
        }
        uint32[] memory shape = new uint32[](2);
        (shape[0], shape[1]) = (uint32(rows), uint32(width));
        output.numbers = new NumberTensor[](1);
        output.numbers[0] = NumberTensor("output", values, shape);
        output.strings = new StringTensor[](0);
        output.jsons = new JsonScalar[](0);
    }

    function _fromHex(string memory modelCID) private pure returns (bytes32) {
        bytes memory text = bytes(modelCID);
        if (text.length != 66) revert BadModelId(modelCID);
        uint256 number;
        for (uint256 i = 2; i < 66; ++i) {
            uint8 c = uint8(text[i]);
            if (c >= 0x30 && c <= 0x39) c -= 0x30;
            else if (c >= 0x61 && c <= 0x66) c -= 0x57;
            else if (c >= 0x41 && c <= 0x46) c -= 0x37;
            else revert BadModelId(modelCID);
            number = number << 4 | c;
        }
        return bytes32(number);
    }

    function _toHex(bytes32 word) private pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory text = new bytes(66);
        (text[0], text[1]) = ("0", "x");
        for (uint256 i; i < 64; ++i) {
            text[65 - i] = digits[uint256(word >> (4 * i)) & 15];
        }
        return string(text);
    }
}
