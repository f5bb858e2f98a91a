//! Static cost: integer counts per class of work, from shapes alone.

use std::ops::AddAssign;

/// Counts the work of a node or a plan; the gas schedule turns the counts into gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Nodes executed.
    pub nodes: u64,
    /// f32 (and f16, bf16) multiply-adds.
    pub macs_f32: u64,
    /// f64 multiply-adds.
    pub macs_f64: u64,
    /// Integer multiply-adds.
    pub macs_int: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Transcendental evaluations (exp, log, tanh ...).
    pub transcendentals: u64,
    /// Simple elementwise operations.
    pub elements: u64,
    /// Tree nodes visited, by the depth bound.
    pub tree_steps: u64,
    /// Comparisons and moves of sorting.
    pub sort_steps: u64,
}

impl Cost {
    /// Weighs the counts into one number used to bound metered work (loops, constant folding).
    pub fn work(&self) -> u64 {
        [
            self.nodes.saturating_mul(64),
            self.macs_f32,
            self.macs_f64.saturating_mul(2),
            self.macs_int,
            self.bytes_read / 4,
            self.bytes_written / 4,
            self.transcendentals.saturating_mul(8),
            self.elements,
            self.tree_steps.saturating_mul(8),
            self.sort_steps.saturating_mul(4),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Multiplies every count, saturating: a loop's body by its iterations.
    pub fn times(self, n: u64) -> Cost {
        Cost {
            nodes: self.nodes.saturating_mul(n),
            macs_f32: self.macs_f32.saturating_mul(n),
            macs_f64: self.macs_f64.saturating_mul(n),
            macs_int: self.macs_int.saturating_mul(n),
            bytes_read: self.bytes_read.saturating_mul(n),
            bytes_written: self.bytes_written.saturating_mul(n),
            transcendentals: self.transcendentals.saturating_mul(n),
            elements: self.elements.saturating_mul(n),
            tree_steps: self.tree_steps.saturating_mul(n),
            sort_steps: self.sort_steps.saturating_mul(n),
        }
    }

    /// Adds what each round of a loop takes besides its body: values handed over, buffers made.
    pub fn with_rounds(self, n: u64) -> Cost {
        const NODES_PER_ROUND: u64 = 6;
        Cost {
            nodes: self.nodes.saturating_add(n.saturating_mul(NODES_PER_ROUND)),
            ..self
        }
    }

    /// Takes the larger of each count: the bound of a branch.
    pub fn max(self, other: Cost) -> Cost {
        Cost {
            nodes: self.nodes.max(other.nodes),
            macs_f32: self.macs_f32.max(other.macs_f32),
            macs_f64: self.macs_f64.max(other.macs_f64),
            macs_int: self.macs_int.max(other.macs_int),
            bytes_read: self.bytes_read.max(other.bytes_read),
            bytes_written: self.bytes_written.max(other.bytes_written),
            transcendentals: self.transcendentals.max(other.transcendentals),
            elements: self.elements.max(other.elements),
            tree_steps: self.tree_steps.max(other.tree_steps),
            sort_steps: self.sort_steps.max(other.sort_steps),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.macs_f32 = self.macs_f32.saturating_add(other.macs_f32);
        self.macs_f64 = self.macs_f64.saturating_add(other.macs_f64);
        self.macs_int = self.macs_int.saturating_add(other.macs_int);
        self.bytes_read = self.bytes_read.saturating_add(other.bytes_read);
        self.bytes_written = self.bytes_written.saturating_add(other.bytes_written);
        self.transcendentals = self.transcendentals.saturating_add(other.transcendentals);
        self.elements = self.elements.saturating_add(other.elements);
        self.tree_steps = self.tree_steps.saturating_add(other.tree_steps);
        self.sort_steps = self.sort_steps.saturating_add(other.sort_steps);
    }
}
