//! onnxruntime through its C API; the library is opened at run time (the one in the Python wheel).

use crate::case::Case;
use crate::{Options, Rival};
use assay_runtime::{Data, Tensor};
use ort_sys::*;
use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

/// Is the version of the API the bindings describe.
const API_VERSION: u32 = 17;

struct OnnxRuntime {
    api: &'static OrtApi,
    session: *mut OrtSession,
    input_names: Vec<*const c_char>,
    output_names: Vec<*const c_char>,
    inputs: Vec<*const OrtValue>,
    /// Holds what the input values point to.
    _tensors: Vec<Tensor>,
}

pub(crate) fn load(
    model: Vec<u8>,
    case: &Case,
    options: &Options,
) -> Result<Box<dyn Rival>, Box<dyn Error>> {
    let path = options
        .ort
        .as_ref()
        .ok_or("name its shared library with --ort")?;
    // SAFETY: the library is onnxruntime's; opening it runs its initialisers only. It is never
    // closed, so what the API hands out stays valid.
    let api: &'static OrtApi = unsafe {
        let library = Box::leak(Box::new(libloading::Library::new(path)?));
        let base =
            library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0")?;
        let api = ((*base()).GetApi)(API_VERSION);
        api.as_ref().ok_or("the library lacks this API version")?
    };
    let mut tensors = case.inputs.clone();
    // SAFETY: every pointer comes from the API just before, is checked through its status, and is
    // used as the C header says. The session lives as long as the process.
    unsafe {
        let check = |status: OrtStatusPtr| check(api, status);
        let mut env = null_mut();
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR;
        check((api.CreateEnv)(level, c"rivals".as_ptr(), &mut env))?;
        let mut settings = null_mut();
        check((api.CreateSessionOptions)(&mut settings))?;
        check((api.SetIntraOpNumThreads)(settings, options.threads as i32))?;
        check((api.SetInterOpNumThreads)(settings, 1))?;
        check((api.SetSessionExecutionMode)(
            settings,
            ExecutionMode::ORT_SEQUENTIAL,
        ))?;
        let all = GraphOptimizationLevel::ORT_ENABLE_ALL;
        check((api.SetSessionGraphOptimizationLevel)(settings, all))?;
        let mut session = null_mut();
        let (bytes, len) = (model.as_ptr().cast::<c_void>(), model.len());
        check((api.CreateSessionFromArray)(
            env,
            bytes,
            len,
            settings,
            &mut session,
        ))?;
        let mut memory = null_mut();
        check((api.CreateCpuMemoryInfo)(
            OrtAllocatorType::OrtArenaAllocator,
            OrtMemType::OrtMemTypeDefault,
            &mut memory,
        ))?;
        let mut inputs = Vec::new();
        for tensor in &mut tensors {
            inputs.push(value(api, memory, tensor)?);
        }
        let (input_names, output_names) = names(api, session)?;
        Ok(Box::new(OnnxRuntime {
            api,
            session,
            input_names,
            output_names,
            inputs,
            _tensors: tensors,
        }))
    }
}

/// Wraps a tensor's memory.
///
/// # Safety
/// The tensor's elements must outlive the value.
unsafe fn value(
    api: &OrtApi,
    memory: *const OrtMemoryInfo,
    tensor: &Tensor,
) -> Result<*const OrtValue, Box<dyn Error>> {
    let (data, bytes) = match tensor.data() {
        Data::F32(data) => (data.as_ptr().cast::<c_void>(), data.len() * 4),
        Data::I64(data) => (data.as_ptr().cast::<c_void>(), data.len() * 8),
        other => return Err(format!("{} inputs are not fed", other.dtype()).into()),
    };
    let kind = match tensor.data() {
        Data::F32(_) => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        _ => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    };
    let shape: Vec<i64> = tensor.shape().iter().map(|&d| d as i64).collect();
    let mut value = null_mut();
    // SAFETY: the pointers are valid for the call; onnxruntime only reads inputs.
    let status = unsafe {
        (api.CreateTensorWithDataAsOrtValue)(
            memory,
            data.cast_mut(),
            bytes,
            shape.as_ptr(),
            shape.len(),
            kind,
            &mut value,
        )
    };
    check(api, status)?;
    Ok(value)
}

type Names = (Vec<*const c_char>, Vec<*const c_char>);

/// Asks a session for the names of its inputs and outputs.
///
/// # Safety
/// The session must be alive.
unsafe fn names(api: &OrtApi, session: *const OrtSession) -> Result<Names, Box<dyn Error>> {
    // SAFETY: the caller's promise; names are allocated by the default allocator and kept.
    unsafe {
        let mut allocator = null_mut();
        check(api, (api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
        let (mut ins, mut outs) = (0, 0);
        check(api, (api.SessionGetInputCount)(session, &mut ins))?;
        check(api, (api.SessionGetOutputCount)(session, &mut outs))?;
        let mut input_names = Vec::new();
        for i in 0..ins {
            let mut name = null_mut();
            check(
                api,
                (api.SessionGetInputName)(session, i, allocator, &mut name),
            )?;
            input_names.push(name.cast_const());
        }
        let mut output_names = Vec::new();
        for i in 0..outs {
            let mut name = null_mut();
            check(
                api,
                (api.SessionGetOutputName)(session, i, allocator, &mut name),
            )?;
            output_names.push(name.cast_const());
        }
        Ok((input_names, output_names))
    }
}

fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<(), Box<dyn Error>> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null holds a message until it is released; it is not.
    let message = unsafe { CStr::from_ptr((api.GetErrorMessage)(status.0)) };
    Err(CString::from(message).to_string_lossy().into_owned().into())
}

impl OnnxRuntime {
    fn call(&mut self) -> Result<Vec<*mut OrtValue>, Box<dyn Error>> {
        let mut outputs = vec![null_mut(); self.output_names.len()];
        // SAFETY: names, inputs and outputs have the counts given, and the session is alive.
        let status = unsafe {
            (self.api.Run)(
                self.session,
                null(),
                self.input_names.as_ptr(),
                self.inputs.as_ptr(),
                self.inputs.len(),
                self.output_names.as_ptr(),
                self.output_names.len(),
                outputs.as_mut_ptr(),
            )
        };
        check(self.api, status)?;
        Ok(outputs)
    }

    fn release(&self, outputs: Vec<*mut OrtValue>) {
        for output in outputs {
            // SAFETY: each value came from one call and is released once.
            unsafe { (self.api.ReleaseValue)(output) };
        }
    }
}

impl Rival for OnnxRuntime {
    fn outputs(&mut self) -> Result<Vec<f32>, Box<dyn Error>> {
        let outputs = self.call()?;
        let first = *outputs.first().ok_or("no output")?;
        // SAFETY: the first output of every case is a float tensor; its count is asked for.
        let numbers = unsafe {
            let mut info = null_mut();
            check(self.api, (self.api.GetTensorTypeAndShape)(first, &mut info))?;
            let mut count = 0;
            check(
                self.api,
                (self.api.GetTensorShapeElementCount)(info, &mut count),
            )?;
            let mut data = null_mut();
            check(self.api, (self.api.GetTensorMutableData)(first, &mut data))?;
            std::slice::from_raw_parts(data.cast::<f32>(), count).to_vec()
        };
        self.release(outputs);
        Ok(numbers)
    }

    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let outputs = self.call()?;
        self.release(outputs);
        Ok(())
    }
}
