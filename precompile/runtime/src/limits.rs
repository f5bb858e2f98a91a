//! Limits: every size a foreign model or input can ask for is bounded by one of these.

/// Bounds what a model may ask of the machine; checked before anything is allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the model file.
    pub model_bytes: u64,
    /// Nodes, subgraphs and functions included.
    pub nodes: u64,
    /// Values named in the graphs.
    pub values: u64,
    /// Dimensions of one tensor.
    pub rank: u64,
    /// Elements of one tensor.
    pub elements: u64,
    /// Bytes alive at once during one run, weights excluded.
    pub live_bytes: u64,
    /// Depth of nested subgraphs and of nested messages' graphs.
    pub depth: u64,
    /// Work units (see `Cost::work`) one run, or all constant folding at load, may spend.
    pub work: u64,
    /// Bytes of text in one operator's string outputs.
    pub text_bytes: u64,
    /// Iterations of one loop.
    pub iterations: u64,
    /// Attributes of one node.
    pub attributes: u64,
    /// Bytes of one name.
    pub name_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            model_bytes: 1 << 30,
            nodes: 100_000,
            values: 400_000,
            rank: 16,
            elements: 1 << 28,
            live_bytes: 2 << 30,
            depth: 16,
            work: 1 << 42,
            text_bytes: 64 << 20,
            iterations: 1 << 20,
            attributes: 256,
            name_bytes: 4096,
        }
    }
}
