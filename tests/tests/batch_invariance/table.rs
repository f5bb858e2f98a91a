//! Which inputs of each operator hold the batch, and which operators have none.

/// Says where an operator's batch is.
pub(crate) enum Batch {
    /// Along axis 0 of every input of full rank: element by element.
    Elements,
    /// Along an axis of these inputs, and axis 0 of the outputs: (input, axis).
    Inputs(&'static [(usize, usize)]),
    /// Along an axis of these inputs, and an axis of each output.
    Layers(&'static [(usize, usize)], &'static [usize]),
}

/// Lists operators with a batch.
#[rustfmt::skip]
pub(crate) const BATCHED: &[(&[&str], Batch)] = &[
    (&["Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitCast",
       "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike",
       "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor",
       "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN",
       "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul",
       "Neg", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
       "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "SwiGLU", "Swish",
       "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor", "Identity", "ai.onnx.ml.Binarizer"],
     Batch::Elements),
    (&["ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Conv", "ConvInteger",
       "ConvTranspose", "DFT", "DepthToSpace", "DequantizeLinear", "Det", "Flatten",
       "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "Hardmax",
       "InstanceNormalization", "LRN", "LayerNormalization", "LogSoftmax", "LpNormalization",
       "LpPool", "MatMulInteger", "MaxPool", "QLinearConv", "QuantizeLinear",
       "RMSNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp",
       "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
       "STFT", "Softmax", "SpaceToDepth", "TopK", "ai.onnx.ml.ArrayFeatureExtractor",
       "ai.onnx.ml.TreeEnsemble", "Col2Im"],
     Batch::Inputs(&[(0, 0)])),
    (&["GridSample", "MatMul", "MaxUnpool", "NegativeLogLikelihoodLoss",
       "SoftmaxCrossEntropyLoss"],
     Batch::Inputs(&[(0, 0), (1, 0)])),
    (&["Gemm"], Batch::Inputs(&[(0, 0), (2, 0)])),
    (&["RotaryEmbedding"], Batch::Inputs(&[(0, 0), (1, 0), (2, 0), (3, 0)])),
    (&["DeformConv"], Batch::Inputs(&[(0, 0), (2, 0), (4, 0)])),
    (&["CausalConvWithState"], Batch::Inputs(&[(0, 0), (3, 0)])),
    (&["LinearAttention"], Batch::Inputs(&[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)])),
    (&["Attention"], Batch::Inputs(&[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)])),
    (&["LSTM", "GRU", "RNN"], Batch::Layers(&[(0, 1), (4, 0), (5, 1), (6, 1)], &[2, 1, 1])),
    (&["ReverseSequence"], Batch::Inputs(&[(0, 0), (1, 0)])),
];

/// Lists operators without a batch, and why.
pub(crate) const NO_BATCH: &[(&[&str], &str)] = &[
    (
        &[
            "CenterCropPad",
            "Compress",
            "Concat",
            "Constant",
            "ConstantOfShape",
            "Expand",
            "EyeLike",
            "Gather",
            "GatherElements",
            "GatherND",
            "NonZero",
            "OneHot",
            "OptionalGetElement",
            "OptionalHasElement",
            "Pad",
            "Range",
            "Reshape",
            "Scatter",
            "ScatterElements",
            "ScatterND",
            "SequenceInsert",
            "Shape",
            "Size",
            "Slice",
            "Split",
            "SplitToSequence",
            "Squeeze",
            "TensorScatter",
            "Tile",
            "Transpose",
            "Trilu",
            "Unique",
            "Unsqueeze",
        ],
        "moves or counts elements: no number is computed from others",
    ),
    (
        &["If", "Loop", "Scan", "SequenceMap"],
        "runs other operators",
    ),
    (
        &[
            "AffineGrid",
            "BlackmanWindow",
            "HammingWindow",
            "HannWindow",
            "MelWeightMatrix",
        ],
        "makes a table from sizes",
    ),
    (
        &["Resize", "Upsample"],
        "names the batch among its scales and sizes",
    ),
    (
        &["CumProd", "CumSum"],
        "works along an axis given as an input",
    ),
    (
        &["MeanVarianceNormalization", "DynamicQuantizeLinear"],
        "takes its statistics over the batch",
    ),
    (
        &["Einsum"],
        "has axes by name; every term is a chain of its own",
    ),
    (
        &["QLinearMatMul"],
        "declares its quantisation per row as well",
    ),
    (
        &["NonMaxSuppression", "RoiAlign"],
        "works on boxes of named images",
    ),
    (
        &[
            "LabelEncoder",
            "ai.onnx.ml.LabelEncoder",
            "StringConcat",
            "StringNormalizer",
            "StringSplit",
            "RegexFullMatch",
            "TfIdfVectorizer",
        ],
        "works on text",
    ),
    (
        &[
            "ai.onnx.preview.training.Adagrad",
            "ai.onnx.preview.training.Adam",
            "ai.onnx.preview.training.Momentum",
        ],
        "updates parameters",
    ),
    (
        &[
            "Bernoulli",
            "Dropout",
            "ImageDecoder",
            "Not",
            "ai.onnx.preview.FlexAttention",
        ],
        "is refused, or passes its input through",
    ),
];
