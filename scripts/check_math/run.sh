#!/bin/sh
# Compares the f32 functions named (all without names) with CORE-MATH over all 2^32 inputs, on one
# niced thread, and appends to docs/logs/math-exhaustive.txt. One to four minutes per function.
# Run from the repository root: scripts/check_math/run.sh [name ...]
set -eu
log=docs/logs/math-exhaustive.txt
mkdir -p docs/logs
cargo build --release --quiet --manifest-path scripts/check_math/Cargo.toml \
    --target-dir target/check_math
{
    echo "date: $(date -u +%Y-%m-%dT%H:%MZ)"
    echo "command: scripts/check_math/run.sh $*"
    echo "commit: $(git rev-parse --short HEAD)"
    echo "cpu: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
} >>"$log"
nice -n "${NICE:-19}" target/check_math/release/check_math "$@" | tee -a "$log"
