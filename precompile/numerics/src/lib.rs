//! Fixed-order numeric kernels: the same bits on every machine.
