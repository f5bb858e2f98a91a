//! Predict: rows of fixed-point features to the model's inputs, its primary output to fixed point.
//!
//! The two halves are pure and apart, so that what lies between them (the inference itself) can be
//! cached by its inputs.

use alloy_primitives::{I256, U256};
use assay_numerics::Engine;
use assay_numerics::fixed::Fixed;
use thiserror::Error;

use crate::dtype::DType;
use crate::error::ExecError;
use crate::manifest::{Column, Dim, Feature, Port};
use crate::published::Published;
use crate::tensor::{Data, Tensor, Value, View};

/// Stands for a missing value among the features.
pub const MISSING: I256 = I256::MIN;

/// Says why a row was not answered.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PredictError {
    /// The model has no feature schema.
    #[error("the model has no feature schema: it answers `run` only")]
    NoSchema,
    /// The number of features is wrong.
    #[error("the model takes {expected} features, got {got}")]
    Count {
        /// Features of all rows.
        expected: u64,
        /// Features given.
        got: u64,
    },
    /// More rows than one, and no batch dimension.
    #[error("the model answers one row at a time, got {got}")]
    Rows {
        /// Rows given.
        got: u64,
    },
    /// A feature must be whole at its scale.
    #[error("feature {index} must be a whole value")]
    NotInteger {
        /// Its position.
        index: usize,
    },
    /// A feature is missing that must be there.
    #[error("feature {index} is missing and not nullable")]
    Missing {
        /// Its position.
        index: usize,
    },
    /// A feature does not fit the input's type or categories.
    #[error("feature {index} does not fit the type of the model's input, or is no listed category")]
    InputOutOfRange {
        /// Its position.
        index: usize,
    },
    /// The run failed.
    #[error(transparent)]
    Run(#[from] ExecError),
    /// The primary output is not what the schema describes.
    #[error(
        "the primary output has {got} values for {rows} rows, the schema needs {needed} for each"
    )]
    Output {
        /// Values of the output.
        got: usize,
        /// Rows asked for.
        rows: usize,
        /// Values the schema reads of each row.
        needed: usize,
    },
    /// A value of the answer is NaN or infinite.
    #[error("value {index} of the answer is not finite")]
    NonFinite {
        /// Its position in the answer.
        index: usize,
    },
    /// A value of the answer does not fit 256 bits at its scale.
    #[error("value {index} of the answer does not fit at its scale")]
    OutOfRange {
        /// Its position in the answer.
        index: usize,
    },
}

impl Published {
    /// Answers rows of features, one after the other.
    pub fn predict(
        &self,
        engine: &Engine,
        rows: usize,
        features: &[I256],
    ) -> Result<Vec<I256>, PredictError> {
        let inputs = self.feature_tensors(rows, features)?;
        let tensors: Vec<&Tensor> = inputs.iter().collect();
        let mut answer = None;
        let mut at = 0;
        let primary = self.primary();
        let fixed = self.model().run_with(engine, &tensors, |view| {
            if at == primary {
                answer = Some(self.answer(rows, view));
            }
            at += 1;
        })?;
        if fixed && let Some(answer) = answer {
            return answer;
        }
        let outputs = self.model().run_tensors(engine, &tensors)?;
        match outputs.get(primary) {
            Some(Value::Tensor(tensor)) => self.answer(rows, tensor.view()),
            _ => Err(PredictError::Output {
                got: 0,
                rows,
                needed: self.needed(),
            }),
        }
    }

    /// Returns the shapes of the inputs for a number of rows.
    pub fn input_shapes(&self, rows: usize) -> Result<Vec<Vec<usize>>, PredictError> {
        let manifest = self.manifest();
        if manifest.schema.features.is_empty() {
            return Err(PredictError::NoSchema);
        }
        if manifest.batch.is_none() && rows != 1 {
            return Err(PredictError::Rows { got: rows as u64 });
        }
        Ok(manifest
            .inputs
            .iter()
            .map(|port| shape_of(port, rows))
            .collect())
    }

    /// Converts rows of features to the model's inputs.
    // Spec: N-15, M-3
    pub fn feature_tensors(
        &self,
        rows: usize,
        features: &[I256],
    ) -> Result<Vec<Tensor>, PredictError> {
        let shapes = self.input_shapes(rows)?;
        let schema = &self.manifest().schema.features;
        let expected = (rows as u64).saturating_mul(schema.len() as u64);
        if features.len() as u64 != expected {
            return Err(PredictError::Count {
                expected,
                got: features.len() as u64,
            });
        }
        let mut first = 0;
        let mut tensors = Vec::with_capacity(shapes.len());
        for (port, shape) in self.manifest().inputs.iter().zip(shapes) {
            let dtype = DType::from_onnx(i32::from(port.dtype))
                .expect("invariant: the manifest's ports were compared with the graph's");
            let width = row_elements(port);
            let columns = schema.get(first..first + width).unwrap_or_default();
            let mut cells = Cells {
                features,
                schema: columns,
                first,
                stride: schema.len(),
                rows,
            };
            tensors.push(Tensor::new(shape, cells.convert(dtype)?).map_err(|_| {
                PredictError::Count {
                    expected,
                    got: features.len() as u64,
                }
            })?);
            first += width;
        }
        Ok(tensors)
    }

    /// Converts the primary output to the columns of each row.
    // Spec: N-15, M-3
    pub fn answer(&self, rows: usize, output: View<'_>) -> Result<Vec<I256>, PredictError> {
        let columns = &self.manifest().schema.columns;
        let needed = self.needed();
        let width = output.len().checked_div(rows).unwrap_or(0);
        if width < needed || width * rows != output.len() {
            return Err(PredictError::Output {
                got: output.len(),
                rows,
                needed,
            });
        }
        let mut answer = Vec::with_capacity(rows * columns.len());
        for row in 0..rows {
            for column in columns {
                let at = row * width + column.index as usize;
                answer.push(fixed_point(column, output.data, at, answer.len())?);
            }
        }
        Ok(answer)
    }

    /// Returns the values of one row of the primary output that the columns reach.
    fn needed(&self) -> usize {
        let columns = &self.manifest().schema.columns;
        columns
            .iter()
            .map(|column| column.index as usize + 1)
            .max()
            .unwrap_or(0)
    }
}

fn row_elements(port: &Port) -> usize {
    shape_of(port, 1).iter().product()
}

fn shape_of(port: &Port, rows: usize) -> Vec<usize> {
    let size = |dim: &Dim| match dim {
        Dim::Size(size) => *size as usize,
        // With a schema, the batch is the only named dimension.
        Dim::Name(_) => rows,
    };
    port.shape.iter().map(size).collect()
}

/// Reads the features of one input, row by row.
struct Cells<'a> {
    features: &'a [I256],
    schema: &'a [Feature],
    first: usize,
    stride: usize,
    rows: usize,
}

impl Cells<'_> {
    fn convert(&mut self, dtype: DType) -> Result<Data, PredictError> {
        macro_rules! float {
            ($kind:ident, $nan:expr, $to:ident) => {
                Data::$kind(self.map(|cell| {
                    match cell.value {
                        MISSING if cell.feature.nullable => Ok($nan),
                        MISSING => Err(cell.missing()),
                        _ => cell
                            .checked_fixed()?
                            .$to(cell.feature.decimals)
                            .ok_or_else(|| cell.out_of_range()),
                    }
                })?)
            };
        }
        macro_rules! whole {
            ($kind:ident, $t:ty) => {
                Data::$kind(
                    self.map(|cell| {
                        <$t>::try_from(cell.whole()?).map_err(|_| cell.out_of_range())
                    })?,
                )
            };
        }
        use assay_numerics::half::{Bf16, F16};
        Ok(match dtype {
            DType::F32 => float!(F32, f32::from_bits(0x7fc0_0000), to_f32),
            DType::F64 => float!(F64, f64::from_bits(0x7ff8_0000_0000_0000), to_f64),
            DType::F16 => float!(F16, F16(0x7e00), to_f16),
            DType::Bf16 => float!(Bf16, Bf16(0x7fc0), to_bf16),
            DType::I8 => whole!(I8, i8),
            DType::I16 => whole!(I16, i16),
            DType::I32 => whole!(I32, i32),
            DType::I64 => whole!(I64, i64),
            DType::U8 => whole!(U8, u8),
            DType::U16 => whole!(U16, u16),
            DType::U32 => whole!(U32, u32),
            DType::U64 => whole!(U64, u64),
            DType::Bool => Data::Bool(self.map(|cell| match cell.whole()? {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(cell.out_of_range()),
            })?),
            DType::Str => Data::Str(self.map(|cell| cell.label())?),
            // Narrow formats have no fixed-point form; such models answer `run`.
            _ => return Err(PredictError::NoSchema),
        })
    }

    fn map<T>(
        &self,
        mut each: impl FnMut(Cell<'_>) -> Result<T, PredictError>,
    ) -> Result<Vec<T>, PredictError> {
        let mut values = Vec::with_capacity(self.rows * self.schema.len());
        for row in 0..self.rows {
            for (column, feature) in self.schema.iter().enumerate() {
                let index = row * self.stride + self.first + column;
                // The caller compared the number of features with the rows.
                let value = self.features.get(index).copied().unwrap_or(MISSING);
                values.push(each(Cell {
                    value,
                    feature,
                    index,
                })?);
            }
        }
        Ok(values)
    }
}

/// Holds one feature of one row.
struct Cell<'a> {
    value: I256,
    feature: &'a Feature,
    index: usize,
}

impl Cell<'_> {
    fn missing(&self) -> PredictError {
        PredictError::Missing { index: self.index }
    }

    fn out_of_range(&self) -> PredictError {
        PredictError::InputOutOfRange { index: self.index }
    }

    /// Reads the value; a categorical feature's must be one of its codes.
    fn checked_fixed(&self) -> Result<Fixed, PredictError> {
        if !self.feature.categories.is_empty() {
            self.category()?;
        }
        Ok(to_fixed(self.value))
    }

    fn whole(&self) -> Result<i128, PredictError> {
        if self.value == MISSING {
            return Err(self.missing());
        }
        let fixed = self.checked_fixed()?;
        if !fixed.is_whole(self.feature.decimals) {
            return Err(PredictError::NotInteger { index: self.index });
        }
        fixed
            .to_integer(self.feature.decimals)
            .ok_or_else(|| self.out_of_range())
    }

    /// Finds the position of the category whose code was passed.
    fn category(&self) -> Result<usize, PredictError> {
        let fixed = to_fixed(self.value);
        if !fixed.is_whole(self.feature.decimals) {
            return Err(PredictError::NotInteger { index: self.index });
        }
        let code = fixed
            .to_integer(self.feature.decimals)
            .and_then(|code| i64::try_from(code).ok())
            .ok_or_else(|| self.out_of_range())?;
        self.feature
            .categories
            .binary_search_by_key(&code, |category| category.code)
            .map_err(|_| self.out_of_range())
    }

    fn label(&self) -> Result<String, PredictError> {
        if self.value == MISSING {
            return Err(self.missing());
        }
        let at = self.category()?;
        Ok(self.feature.categories[at].label.clone())
    }
}

fn fixed_point(
    column: &Column,
    data: &Data,
    at: usize,
    index: usize,
) -> Result<I256, PredictError> {
    let out_of_range = || PredictError::OutOfRange { index };
    let float = |value: f64| {
        if !value.is_finite() {
            return Err(PredictError::NonFinite { index });
        }
        Fixed::from_f64(value, column.decimals).ok_or_else(out_of_range)
    };
    let whole = |value: i128| Fixed::from_integer(value, column.decimals).ok_or_else(out_of_range);
    macro_rules! value {
        ($v:expr) => {
            $v.get(at).copied().ok_or_else(out_of_range)?
        };
    }
    let fixed = match data {
        Data::F32(v) => float(f64::from(value!(v)))?,
        Data::F64(v) => float(value!(v))?,
        Data::F16(v) => float(f64::from(value!(v).to_f32()))?,
        Data::Bf16(v) => float(f64::from(value!(v).to_f32()))?,
        Data::I8(v) => whole(i128::from(value!(v)))?,
        Data::I16(v) => whole(i128::from(value!(v)))?,
        Data::I32(v) => whole(i128::from(value!(v)))?,
        Data::I64(v) => whole(i128::from(value!(v)))?,
        Data::U8(v) => whole(i128::from(value!(v)))?,
        Data::U16(v) => whole(i128::from(value!(v)))?,
        Data::U32(v) => whole(i128::from(value!(v)))?,
        Data::U64(v) => whole(i128::from(value!(v)))?,
        Data::Bool(v) => whole(i128::from(value!(v)))?,
        Data::Str(v) => {
            let text = v.get(at).ok_or_else(out_of_range)?;
            let label = column.labels.iter().position(|label| label == text);
            whole(label.ok_or_else(out_of_range)? as i128)?
        }
        _ => return Err(out_of_range()),
    };
    Ok(from_fixed(fixed))
}

fn to_fixed(value: I256) -> Fixed {
    Fixed {
        negative: value.is_negative(),
        magnitude: value.unsigned_abs().into_limbs(),
    }
}

fn from_fixed(value: Fixed) -> I256 {
    let magnitude = I256::from_raw(U256::from_limbs(value.magnitude));
    // At most 255 bits: the negation never wraps.
    if value.negative {
        magnitude.wrapping_neg()
    } else {
        magnitude
    }
}
