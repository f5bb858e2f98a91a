//! Tensors: owned typed data with a shape, and the borrowed views operators read and write.

use assay_numerics::half::{Bf16, F16};

use crate::dtype::DType;
use crate::error::{LimitKind, OpError};

macro_rules! data_kinds {
    ($($kind:ident: $element:ty, $what:literal;)*) => {
        /// Holds the elements of a tensor, row-major, one vector per element type.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Data {
            $(#[doc = $what] $kind(Vec<$element>),)*
        }

        impl Data {
            /// Returns the element type.
            pub fn dtype(&self) -> DType {
                match self { $(Data::$kind(_) => DType::$kind,)* }
            }

            /// Returns the number of elements.
            pub fn len(&self) -> usize {
                match self { $(Data::$kind(v) => v.len(),)* }
            }

            /// Returns the number of elements the vector can hold without growing.
            pub fn capacity(&self) -> usize {
                match self { $(Data::$kind(v) => v.capacity(),)* }
            }

            /// Makes `len` zero elements (false, empty string) of a type.
            pub fn zeros(dtype: DType, len: usize) -> Data {
                match dtype { $(DType::$kind => Data::$kind(vec![<$element>::default(); len]),)* }
            }

            /// Changes the length; new elements are zero.
            pub fn resize(&mut self, len: usize) {
                match self { $(Data::$kind(v) => v.resize(len, <$element>::default()),)* }
            }

            /// Copies elements of the same type over those from `at` on.
            pub(crate) fn place(&mut self, at: usize, source: &Data) {
                match (self, source) {
                    $((Data::$kind(to), Data::$kind(from)) => {
                        for (to, from) in to.iter_mut().skip(at).zip(from) {
                            to.clone_from(from);
                        }
                    })*
                    _ => unreachable!("invariant: both were made for one type"),
                }
            }

            /// Copies the elements of `source`, which must have the same type, into `self`.
            pub fn copy_from(&mut self, source: &Data) -> Result<(), OpError> {
                match (self, source) {
                    $((Data::$kind(to), Data::$kind(from)) => {
                        to.clear();
                        to.extend_from_slice(from);
                        Ok(())
                    })*
                    (to, from) => Err(OpError::ElementType { expected: to.dtype(), got: from.dtype() }),
                }
            }
        }
    };
}

data_kinds! {
    F32: f32, "IEEE binary32.";
    U8: u8, "Unsigned 8-bit integers.";
    I8: i8, "Signed 8-bit integers.";
    U16: u16, "Unsigned 16-bit integers.";
    I16: i16, "Signed 16-bit integers.";
    I32: i32, "Signed 32-bit integers.";
    I64: i64, "Signed 64-bit integers.";
    Str: String, "UTF-8 strings.";
    Bool: bool, "Booleans.";
    F16: F16, "IEEE binary16.";
    F64: f64, "IEEE binary64.";
    U32: u32, "Unsigned 32-bit integers.";
    U64: u64, "Unsigned 64-bit integers.";
    Bf16: Bf16, "bfloat16.";
    F8E4M3Fn: u8, "float8e4m3fn codes.";
    F8E4M3Fnuz: u8, "float8e4m3fnuz codes.";
    F8E5M2: u8, "float8e5m2 codes.";
    F8E5M2Fnuz: u8, "float8e5m2fnuz codes.";
    U4: u8, "Unsigned 4-bit integers, one per byte.";
    I4: i8, "Signed 4-bit integers, one per byte.";
    F4E2M1: u8, "float4e2m1 codes, one per byte.";
    F8E8M0: u8, "float8e8m0 codes.";
    U2: u8, "Unsigned 2-bit integers, one per byte.";
    I2: i8, "Signed 2-bit integers, one per byte.";
}

impl Default for Data {
    fn default() -> Self {
        Data::F32(Vec::new())
    }
}

/// Matches the types that are stored as one byte an element.
macro_rules! byte_codes {
    ($v:ident) => {
        Data::U8($v)
            | Data::F8E4M3Fn($v)
            | Data::F8E4M3Fnuz($v)
            | Data::F8E5M2($v)
            | Data::F8E5M2Fnuz($v)
            | Data::U4($v)
            | Data::F4E2M1($v)
            | Data::F8E8M0($v)
            | Data::U2($v)
    };
}

impl Data {
    /// Says whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes the elements take in memory; strings count their text too.
    pub fn size_bytes(&self) -> usize {
        let text = match self {
            Data::Str(v) => v.iter().map(String::len).sum(),
            _ => 0,
        };
        self.len() * self.dtype().size_bytes() + text
    }

    /// Returns the one-byte codes of the types that are stored as bytes (u8, float8, float4, u4, u2).
    pub fn codes(&self) -> Option<&[u8]> {
        match self {
            byte_codes!(v) => Some(v),
            _ => None,
        }
    }

    /// Returns the one-byte codes for writing; see [`Data::codes`].
    pub fn codes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            byte_codes!(v) => Some(v),
            _ => None,
        }
    }
}

/// Connects a Rust element type with its variant of [`Data`].
pub trait Element: Clone + Default + PartialEq + Send + Sync + 'static {
    /// The element type this Rust type stands for.
    const DTYPE: DType;
    /// Borrows the elements when the data has this type.
    fn slice(data: &Data) -> Option<&[Self]>;
    /// Borrows the elements for writing when the data has this type.
    fn slice_mut(data: &mut Data) -> Option<&mut [Self]>;
    /// Wraps a vector.
    fn wrap(values: Vec<Self>) -> Data;
}

macro_rules! elements {
    ($($element:ty => $kind:ident $(| $also:ident)*;)*) => {$(
        impl Element for $element {
            const DTYPE: DType = DType::$kind;
            fn slice(data: &Data) -> Option<&[Self]> {
                match data { Data::$kind(v) $(| Data::$also(v))* => Some(v), _ => None }
            }
            fn slice_mut(data: &mut Data) -> Option<&mut [Self]> {
                match data { Data::$kind(v) $(| Data::$also(v))* => Some(v), _ => None }
            }
            fn wrap(values: Vec<Self>) -> Data {
                Data::$kind(values)
            }
        }
    )*};
}

elements! {
    f32 => F32; f64 => F64; F16 => F16; Bf16 => Bf16;
    i8 => I8; i16 => I16; i32 => I32; i64 => I64;
    u8 => U8; u16 => U16; u32 => U32; u64 => U64;
    bool => Bool; String => Str;
}

/// Owns the elements and the shape of one tensor; the lengths always agree.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// Joins a shape and its elements; refuses when the counts differ.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Tensor, OpError> {
        let shape = shape.into();
        match element_count(&shape) {
            Some(count) if count == data.len() => Ok(Tensor { shape, data }),
            _ => Err(OpError::DataLength {
                got: data.len(),
                shape,
            }),
        }
    }

    /// Makes a tensor from a vector; refuses when the counts differ.
    pub fn from_vec<T: Element>(
        shape: impl Into<Vec<usize>>,
        values: Vec<T>,
    ) -> Result<Tensor, OpError> {
        Tensor::new(shape, T::wrap(values))
    }

    /// Makes a tensor of rank 0.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor {
            shape: Vec::new(),
            data: T::wrap(vec![value]),
        }
    }

    /// Makes a tensor of zeros; the caller has checked the count against its limits.
    pub fn zeros(dtype: DType, shape: impl Into<Vec<usize>>) -> Result<Tensor, OpError> {
        let shape = shape.into();
        let count = element_count(&shape).ok_or(OpError::Limit {
            kind: LimitKind::Elements,
            limit: usize::MAX as u64,
            got: u64::MAX,
        })?;
        Ok(Tensor {
            shape,
            data: Data::zeros(dtype, count),
        })
    }

    /// Keeps type and shape but gives the elements' memory back: what stays of a constant whose
    /// every reader has packed it. Nothing reads its elements again.
    pub(crate) fn husk(&self) -> Tensor {
        Tensor {
            shape: self.shape.clone(),
            data: Data::zeros(self.dtype(), 0),
        }
    }

    /// Says whether the elements were given back.
    pub(crate) fn is_husk(&self) -> bool {
        self.data.is_empty() && element_count(&self.shape) != Some(0)
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Returns the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Takes the shape and the elements apart.
    pub fn into_parts(self) -> (Vec<usize>, Data) {
        (self.shape, self.data)
    }

    /// Borrows the tensor as a view.
    pub fn view(&self) -> View<'_> {
        View {
            shape: &self.shape,
            data: &self.data,
        }
    }

    /// Borrows the tensor as an output to be written.
    pub fn out(&mut self) -> Out<'_> {
        Out {
            shape: &self.shape,
            data: &mut self.data,
        }
    }

    /// Borrows the elements, refusing another type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], OpError> {
        T::slice(&self.data).ok_or(OpError::ElementType {
            expected: T::DTYPE,
            got: self.dtype(),
        })
    }

    /// Gives the same elements another shape with the same count.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Tensor, OpError> {
        Tensor::new(shape, self.data)
    }
}

/// Borrows a tensor's shape and elements for reading.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The dimensions.
    pub shape: &'a [usize],
    /// The elements, row-major.
    pub data: &'a Data,
}

impl<'a> View<'a> {
    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Says whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Borrows the elements, refusing another type.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T], OpError> {
        T::slice(self.data).ok_or(OpError::ElementType {
            expected: T::DTYPE,
            got: self.dtype(),
        })
    }

    /// Reads the elements of an int32 or int64 tensor as i64, as shapes and axes are given.
    pub fn to_i64s(&self) -> Result<Vec<i64>, OpError> {
        match self.data {
            Data::I64(v) => Ok(v.clone()),
            Data::I32(v) => Ok(v.iter().map(|&x| i64::from(x)).collect()),
            other => Err(OpError::Type {
                what: "an integer list",
                got: other.dtype(),
            }),
        }
    }

    /// Copies the view into an owned tensor.
    pub fn to_tensor(&self) -> Tensor {
        Tensor {
            shape: self.shape.to_vec(),
            data: self.data.clone(),
        }
    }
}

/// Borrows a preallocated output: the shape is decided, the elements are to be written.
#[derive(Debug)]
pub struct Out<'a> {
    /// The dimensions.
    pub shape: &'a [usize],
    /// The elements, already of the right type and count; old contents are arbitrary.
    pub data: &'a mut Data,
}

impl Out<'_> {
    /// Borrows the elements for writing, refusing another type.
    pub fn as_mut<T: Element>(&mut self) -> Result<&mut [T], OpError> {
        let got = self.data.dtype();
        T::slice_mut(self.data).ok_or(OpError::ElementType {
            expected: T::DTYPE,
            got,
        })
    }
}

/// Holds anything that flows along an edge of a graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A tensor.
    Tensor(Tensor),
    /// An ordered list of values.
    Sequence(Vec<Value>),
    /// A value that may be absent.
    Optional(Option<Box<Value>>),
}

impl Value {
    /// Borrows the tensor, if it is one.
    pub fn as_tensor(&self) -> Option<&Tensor> {
        match self {
            Value::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Returns the bytes the value takes in memory.
    pub fn size_bytes(&self) -> usize {
        match self {
            Value::Tensor(tensor) => tensor.data.size_bytes(),
            Value::Sequence(values) => values
                .iter()
                .fold(0usize, |sum, v| sum.saturating_add(v.size_bytes())),
            Value::Optional(inner) => inner.as_ref().map_or(0, |v| v.size_bytes()),
        }
    }

    /// Names the kind for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Tensor(_) => "tensor",
            Value::Sequence(_) => "sequence",
            Value::Optional(_) => "optional",
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Self {
        Value::Tensor(tensor)
    }
}

/// Multiplies the dimensions; `None` when the product does not fit.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    // A zero dimension makes the product zero whatever the others are, but the others must still
    // multiply without wrapping, or strides computed from them would.
    let mut count: usize = 1;
    let mut zero = false;
    for &dim in shape {
        if dim == 0 {
            zero = true;
        } else {
            count = count.checked_mul(dim)?;
        }
    }
    Some(if zero { 0 } else { count })
}
