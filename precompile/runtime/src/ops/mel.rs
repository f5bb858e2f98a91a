//! MelWeightMatrix: triangles over the bins of a spectrum, evenly spaced on the mel scale
//! (Spec: N-47).

use assay_numerics::Engine;
use assay_numerics::math::double;

use super::cast::{CastRule, convert};
use super::map::WIDE_FACTOR;
use super::signal::{extent, number_type};
use super::work::want_float;
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Data, Out, View};

/// Makes the matrix from five numbers.
struct MelWeights {
    dtype: DType,
}

/// Reads one float of any kind.
fn number(view: View<'_>) -> Result<f64, OpError> {
    let mut wide = Data::F64(vec![0.0]);
    if view.len() != 1 {
        return Err(OpError::Shape {
            why: "an edge must be a scalar",
            shapes: vec![view.shape.to_vec()],
        });
    }
    convert(CastRule::default(), view.data, &mut wide)?;
    match wide {
        Data::F64(values) => Ok(values.first().copied().unwrap_or(0.0)),
        _ => Ok(0.0),
    }
}

/// Counts the bins of a one-sided spectrum of a transform of some length.
fn bins(length: usize) -> usize {
    length / 2 + 1
}

impl MelWeights {
    /// Finds the spectrum bins where the triangles begin, peak and end: `bands + 2` of them.
    fn corners(&self, engine: &Engine, ins: Ins<'_>, bands: usize) -> Result<Vec<i64>, OpError> {
        let length = extent(ins.get(1)?, 1)?;
        let rate = extent(ins.get(2)?, 1)? as f64;
        let edges = [number(ins.get(3)?)?, number(ins.get(4)?)?];
        let mut logs = [1.0 + edges[0] / 700.0, 1.0 + edges[1] / 700.0, 10.0];
        let given = logs;
        double::ln_f64(engine, &given, &mut logs);
        let [low, high] = [logs[0], logs[1]].map(|log| 2595.0 * (log / logs[2]));
        let step = (high - low) / (bands + 2) as f64;
        let powers: Vec<f64> = (0..bands + 2)
            .map(|i| (i as f64 * step + low) / 2595.0 * logs[2])
            .collect();
        let mut hertz = vec![0.0; powers.len()];
        double::exp_f64(engine, &powers, &mut hertz);
        let last = bins(length) as i64 - 1;
        hertz
            .into_iter()
            .map(|power| {
                let at = ((length as f64 + 1.0) * (700.0 * (power - 1.0)) / rate).floor();
                if at >= 0.0 && at <= last as f64 {
                    return Ok(at as i64);
                }
                Err(OpError::Value {
                    what: "a mel band lies outside the spectrum; bin",
                    got: at as i64,
                })
            })
            .collect()
    }
}

impl Op for MelWeights {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        for edge in [3, 4] {
            want_float(cx.tensor(edge)?.dtype)?;
        }
        let (bands, length) = (extent(cx.value(0)?, 0)?, extent(cx.value(1)?, 1)?);
        Ok(vec![Fact::tensor(self.dtype, [bins(length), bands])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let out = cx.output(0)?;
        let bands = out.shape.last().copied().unwrap_or(0) as u64;
        Ok(Cost {
            elements: out.count().saturating_mul(2),
            transcendentals: bands.saturating_add(5).saturating_mul(WIDE_FACTOR),
            ..cx.traffic()
        })
    }

    // Spec: N-47
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let out = &mut outs[0];
        let bands = out.shape.last().copied().unwrap_or(0);
        let mut weights = vec![0.0f64; out.data.len()];
        let corners = self.corners(cx.engine(), ins, bands)?;
        for (band, corner) in corners.windows(3).enumerate() {
            let (left, centre, right) = (corner[0], corner[1], corner[2]);
            let mut set = |bin: i64, weight: f64| {
                if let Some(at) = weights.get_mut(bin as usize * bands + band) {
                    *at = weight;
                }
            };
            if left == centre {
                set(centre, 1.0);
            }
            for bin in left..=centre {
                if left != centre {
                    set(bin, (bin - left) as f64 / (centre - left) as f64);
                }
            }
            for bin in centre..right {
                set(bin, (right - bin) as f64 / (right - centre) as f64);
            }
        }
        convert(CastRule::default(), &Data::F64(weights), out.data)
    }
}

fn mel_weights(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(5..=5, 1)?;
    Ok(Box::new(MelWeights {
        dtype: number_type(cx)?,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[Entry::onnx("MelWeightMatrix", 17, mel_weights)];
