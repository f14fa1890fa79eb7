//! Bounds of a definition.

/// Bounds of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinitionLimits {
    /// Most nodes.
    pub nodes: usize,
    /// Most edges.
    pub edges: usize,
    /// Most bytes of compact JSON.
    pub bytes: usize,
    /// Deepest nesting of the JSON.
    pub depth: usize,
    /// Most expressions and references in nodes.
    pub expressions: usize,
    /// Most expressions in one text.
    pub text_expressions: usize,
    /// Most loops around a node.
    pub loop_nesting: usize,
    /// Most items of one loop.
    pub loop_items: usize,
    /// Most runs of nodes inside of loops, in one run: each leaves a record.
    pub loop_frames: usize,
    /// Longest `timeout_ms` of a node.
    pub node_timeout_ms: u64,
    /// Most repetitions of a node.
    pub node_retries: u32,
}

impl Default for DefinitionLimits {
    fn default() -> Self {
        Self {
            nodes: 500,
            edges: 2_000,
            bytes: 1 << 20,
            depth: 64,
            expressions: 4_000,
            text_expressions: 256,
            loop_nesting: 4,
            loop_items: 10_000,
            loop_frames: 250_000,
            node_timeout_ms: 3_600_000,
            node_retries: 10,
        }
    }
}
