// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.26;

/// @notice How an inference is secured, in OpenGradient's words.
enum ModelInferenceMode {
    VANILLA,
    ZK,
    TEE
}

/// @notice A number: value / 10^decimals.
struct Number {
    int128 value;
    int128 decimals;
}

/// @notice A named tensor of numbers.
struct NumberTensor {
    string name;
    Number[] values;
    uint32[] shape;
}

/// @notice A named list of strings.
struct StringTensor {
    string name;
    string[] values;
}

/// @notice A named JSON value.
struct JsonScalar {
    string name;
    string value;
}

/// @notice Inputs of a model.
struct ModelInput {
    NumberTensor[] numbers;
    StringTensor[] strings;
}

/// @notice Outputs of a model.
struct ModelOutput {
    NumberTensor[] numbers;
    StringTensor[] strings;
    JsonScalar[] jsons;
    bool is_simulation_result;
}

/// @notice Asks for an inference.
struct ModelInferenceRequest {
    ModelInferenceMode mode;
    string modelCID;
    ModelInput input;
}

/// @notice How a language model is run, in OpenGradient's words.
enum LlmInferenceMode {
    VANILLA,
    TEE
}

/// @notice Asks a language model.
struct LlmInferenceRequest {
    LlmInferenceMode mode;
    string modelCID;
    string prompt;
    uint32 max_tokens;
    string[] stop_sequence;
    uint32 temperature;
}

/// @notice Answers of a language model.
struct LlmResponse {
    string answer;
}

/// @title OpenGradient inference
/// @notice The interface OpenGradient publishes at address 0xF4; selectors and encodings are theirs.
interface IOGInference {
    /// @notice An inference was made; `inferenceID` is a hash of caller, block and request.
    event ModelInferenceEvent(string inferenceID, ModelInferenceRequest request, ModelOutput output);

    /// @notice Runs a model.
    /// @param request Mode, model and inputs.
    /// @return Outputs.
    function runModelInference(ModelInferenceRequest memory request) external returns (ModelOutput memory);

    /// @notice Runs a language model.
    /// @param request Mode, model and prompt.
    /// @return Answer.
    function runLLMInference(LlmInferenceRequest memory request) external returns (LlmResponse memory);
}
