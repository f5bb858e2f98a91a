//! One call, from calldata to answer: read, charge, then run.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall;
use assay_runtime::predict::PredictError;
use assay_runtime::published::Published;
use assay_runtime::{DType, Fact, Plan, PortKind, Tensor, Value};

use crate::abi::IInference;
use crate::answer;
use crate::describe;
use crate::gas;
use crate::host::{Answers, HostFault};
use crate::reader::{BadCalldata, RawTensor, Reader};
use crate::registry::{Record, Status};
use crate::reverts::{self, revert};

/// Gives a call what it reads and journals of the chain.
pub(crate) trait ChainState {
    /// Reads the registry's record of a model; also says whether the slot was cold.
    fn record_word(&mut self, model: B256) -> Result<(U256, bool), String>;
    /// Says whether the transaction touched the model before.
    fn is_warm(&mut self, model: B256) -> bool;
    /// Marks the model as touched; undone when the frame reverts.
    fn warm(&mut self, model: B256);
    /// Returns the height of the block that executes.
    fn height(&self) -> u64;
}

/// Ends a call without an answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The gas does not suffice; no data is returned.
    OutOfGas,
    /// The call reverts with a typed error; what was charged stays charged.
    Revert(Bytes),
    /// This machine cannot execute the block.
    Fault(String),
}

impl From<BadCalldata> for Stop {
    fn from(_: BadCalldata) -> Self {
        Stop::Revert(revert(IInference::BadCalldata {}))
    }
}

impl From<HostFault> for Stop {
    fn from(fault: HostFault) -> Self {
        Stop::Fault(fault.to_string())
    }
}

/// Adds up the charge of a call against its limit.
#[derive(Debug)]
pub(crate) struct Charge {
    limit: u64,
    used: u64,
}

impl Charge {
    /// Starts with nothing charged.
    pub(crate) fn new(limit: u64) -> Self {
        Charge { limit, used: 0 }
    }

    /// Returns what was charged.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    fn add(&mut self, gas: u64) -> Result<(), Stop> {
        match self.used.checked_add(gas) {
            Some(used) if used <= self.limit => {
                self.used = used;
                Ok(())
            }
            _ => Err(Stop::OutOfGas),
        }
    }
}

/// Holds the answer of a call.
#[derive(Debug)]
pub(crate) struct Done {
    /// The return data.
    pub(crate) output: Bytes,
    /// The model, when the call ran an inference.
    pub(crate) ran: Option<B256>,
}

/// Answers one call.
pub(crate) fn answer(
    host: &dyn Answers,
    chain: &mut dyn ChainState,
    input: &[u8],
    charge: &mut Charge,
) -> Result<Done, Stop> {
    charge.add(gas::input(input.len()))?;
    let (selector, arguments) = input.split_first_chunk::<4>().ok_or(BadCalldata)?;
    let mut reader = Reader::new(arguments);
    let mut call = Call {
        host,
        chain,
        charge,
    };
    match *selector {
        IInference::predictCall::SELECTOR => call.predict(&mut reader, false),
        IInference::predictBatchCall::SELECTOR => call.predict(&mut reader, true),
        IInference::runCall::SELECTOR => call.run(&mut reader),
        IInference::quotePredictCall::SELECTOR => call.quote_predict(&mut reader),
        IInference::quoteRunCall::SELECTOR => call.quote_run(&mut reader),
        IInference::describeCall::SELECTOR => call.describe(&mut reader),
        _ => Err(BadCalldata.into()),
    }
}

struct Call<'a> {
    host: &'a dyn Answers,
    chain: &'a mut dyn ChainState,
    charge: &'a mut Charge,
}

impl Call<'_> {
    fn predict(&mut self, reader: &mut Reader<'_>, batch: bool) -> Result<Done, Stop> {
        let id = reader.hash()?;
        let rows = if batch { Some(reader.uint()?) } else { None };
        reader.offset(if batch { 96 } else { 64 })?;
        let features = reader.ints()?;
        reader.end()?;
        let (published, record) = self.active(id)?;
        let rows = match rows {
            None => 1,
            Some(rows) => counted_rows(&published, rows, features.len())?,
        };
        let plan = self.plan_rows(&published, rows)?;
        let run = run_gas(&published, &plan)?;
        let columns = published.manifest().schema.columns.len() as u64;
        let output = answer::integers_size(columns.saturating_mul(rows as u64));
        self.charge_run(id, record, run, output)?;
        let refuse =
            |error: &PredictError| Stop::Revert(reverts::of_predict(id, published.model(), error));
        let inputs = published
            .feature_tensors(rows, &features)
            .map_err(|e| refuse(&e))?;
        let result = self.host.infer(&published, &inputs);
        let values = result
            .as_ref()
            .as_ref()
            .map_err(|e| Stop::Revert(reverts::of_exec(published.model(), e)))?;
        let primary = match values.get(published.primary()) {
            Some(Value::Tensor(tensor)) => tensor.view(),
            _ => return Err(refuse(&PredictError::NoSchema)),
        };
        let answer = published.answer(rows, primary).map_err(|e| refuse(&e))?;
        Ok(Done {
            output: answer::integers(&answer),
            ran: Some(id),
        })
    }

    fn run(&mut self, reader: &mut Reader<'_>) -> Result<Done, Stop> {
        let id = reader.hash()?;
        reader.offset(64)?;
        let raw = reader.list(RawTensor::read)?;
        reader.end()?;
        let inputs = raw
            .iter()
            .map(RawTensor::to_tensor)
            .collect::<Result<Vec<Tensor>, _>>()?;
        let (published, record) = self.active(id)?;
        check_types(&published, &inputs)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(Tensor::shape).collect();
        let plan = self.plan(&published, &shapes)?;
        let run = run_gas(&published, &plan)?;
        let output = output_size(&published, &plan)?;
        self.charge_run(id, record, run, output)?;
        let result = self.host.infer(&published, &inputs);
        let values = result
            .as_ref()
            .as_ref()
            .map_err(|e| Stop::Revert(reverts::of_exec(published.model(), e)))?;
        let mut tensors = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::Tensor(tensor) if answer::text_fits(tensor) => tensors.push(tensor),
                Value::Tensor(tensor) => {
                    let got = tensor.data().size_bytes() as u64;
                    let limit = answer::STRING_BYTES.saturating_mul(tensor.data().len() as u64);
                    return Err(Stop::Revert(reverts::limit_exceeded_named(
                        "string bytes",
                        limit,
                        got,
                    )));
                }
                _ => return Err(no_tensor(&published)),
            }
        }
        Ok(Done {
            output: answer::tensors(&tensors),
            ran: Some(id),
        })
    }

    fn quote_predict(&mut self, reader: &mut Reader<'_>) -> Result<Done, Stop> {
        let id = reader.hash()?;
        let rows = reader.uint()?;
        reader.end()?;
        let (published, record) = self.active(id)?;
        let schema = &published.manifest().schema;
        let rows = usize::try_from(rows)
            .ok()
            .filter(|&rows| rows > 0)
            .ok_or_else(|| Stop::Revert(reverts::wrong_count(schema.features.len() as u64, 0)))?;
        let gas = self.quote_rows(&published, rows)?;
        self.quoted(gas, record)
    }

    /// Charges the walk and quotes a call with so many rows.
    fn quote_rows(&mut self, published: &Published, rows: usize) -> Result<u64, Stop> {
        let schema = &published.manifest().schema;
        let plan = self.plan_rows(published, rows)?;
        let cells = (schema.features.len() as u64).saturating_mul(rows as u64);
        // predictBatch has one word more than predict.
        let words = cells.saturating_add(if rows == 1 { 3 } else { 4 });
        let calldata = words.saturating_mul(32).saturating_add(4);
        let values = (schema.columns.len() as u64).saturating_mul(rows as u64);
        Ok(warm_gas(
            published,
            calldata,
            run_gas(published, &plan)?,
            answer::integers_size(values),
        ))
    }

    fn quote_run(&mut self, reader: &mut Reader<'_>) -> Result<Done, Stop> {
        let id = reader.hash()?;
        reader.offset(64)?;
        let shapes = reader.list(Reader::u64s)?;
        reader.end()?;
        let (published, record) = self.active(id)?;
        let shapes = shapes
            .iter()
            .map(|shape| shape.iter().map(|&size| usize::try_from(size)).collect())
            .collect::<Result<Vec<Vec<usize>>, _>>()
            .map_err(|_| BadCalldata)?;
        let borrowed: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let plan = self.plan(&published, &borrowed)?;
        let facts: Vec<Fact> = published
            .model()
            .inputs()
            .iter()
            .zip(&shapes)
            .map(|(port, shape)| match &port.kind {
                PortKind::Tensor { dtype, .. } => Fact::tensor(*dtype, shape.clone()),
                _ => Fact::Unknown,
            })
            .collect();
        let arguments = answer::tensors_size(&facts).ok_or_else(|| no_tensor(&published))?;
        // The selector and the model's id precede the list.
        let calldata = arguments.saturating_add(36);
        let output = output_size(&published, &plan)?;
        let gas = warm_gas(&published, calldata, run_gas(&published, &plan)?, output);
        self.quoted(gas, record)
    }

    fn quoted(&mut self, gas: u64, record: Record) -> Result<Done, Stop> {
        self.charge.add(gas::output(64))?;
        Ok(Done {
            output: answer::quote(gas, cold_extra(record)),
            ran: None,
        })
    }

    fn describe(&mut self, reader: &mut Reader<'_>) -> Result<Done, Stop> {
        let id = reader.hash()?;
        reader.end()?;
        let (record, status) = self.record(id)?;
        match status {
            Status::Unknown => return Err(unknown(id)),
            // Only attested models' bytes are on every node.
            Status::Pending => return Err(not_active(id)),
            Status::Scheduled | Status::Active | Status::Suspended => {}
        }
        let published = self.host.model(id)?;
        let predict = if published.manifest().schema.features.is_empty() {
            self.charge
                .add(gas::walk(published.model().graph().nodes.len()))?;
            0
        } else {
            self.quote_rows(&published, 1)?
        };
        let output = describe::encode(&published, record, status, predict, cold_extra(record));
        self.charge.add(gas::output(output.len() as u64))?;
        Ok(Done { output, ran: None })
    }

    /// Reads the model's record, charged as a storage read.
    fn record(&mut self, id: B256) -> Result<(Record, Status), Stop> {
        // The charge comes first: a call without the gas for a cold read does not cause one.
        self.charge.add(gas::RECORD_WARM)?;
        if self.charge.limit.saturating_sub(self.charge.used) < gas::RECORD_COLD - gas::RECORD_WARM
        {
            return Err(Stop::OutOfGas);
        }
        let (word, cold) = self.chain.record_word(id).map_err(Stop::Fault)?;
        if cold {
            self.charge.add(gas::RECORD_COLD - gas::RECORD_WARM)?;
        }
        let record = Record::decode(word);
        Ok((record, record.status(self.chain.height())))
    }

    fn active(&mut self, id: B256) -> Result<(Arc<Published>, Record), Stop> {
        let (record, status) = self.record(id)?;
        match status {
            Status::Active => Ok((self.host.model(id)?, record)),
            Status::Unknown => Err(unknown(id)),
            Status::Pending | Status::Scheduled => Err(not_active(id)),
            Status::Suspended => Err(Stop::Revert(revert(IInference::ModelSuspended {
                model: id,
            }))),
        }
    }

    fn plan_rows(&mut self, published: &Published, rows: usize) -> Result<Arc<Plan>, Stop> {
        let shapes = published.input_shapes(rows).map_err(|error| {
            Stop::Revert(reverts::of_predict(
                published.id().0,
                published.model(),
                &error,
            ))
        })?;
        let borrowed: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        self.plan(published, &borrowed)
    }

    /// Charges the walk, then plans.
    fn plan(&mut self, published: &Published, shapes: &[&[usize]]) -> Result<Arc<Plan>, Stop> {
        let model = published.model();
        self.charge.add(gas::walk(model.graph().nodes.len()))?;
        model
            .plan(shapes)
            .map_err(|error| Stop::Revert(reverts::of_exec(model, &error)))
    }

    /// Charges run, output and the first touch together, before anything runs.
    fn charge_run(&mut self, id: B256, record: Record, run: u64, output: u64) -> Result<(), Stop> {
        let warm = self.chain.is_warm(id);
        let first = if warm {
            0
        } else {
            gas::cold(record.size_bytes)
        };
        self.charge.add(
            run.saturating_add(gas::output(output))
                .saturating_add(first),
        )?;
        if !warm {
            self.chain.warm(id);
        }
        Ok(())
    }
}

/// Compares the number of features with the rows before anything is sized by the rows.
fn counted_rows(published: &Published, rows: U256, features: usize) -> Result<usize, Stop> {
    let width = published.manifest().schema.features.len();
    let expected = rows.saturating_mul(U256::from(width));
    if rows.is_zero() || expected != U256::from(features) {
        let expected = u64::try_from(expected)
            .unwrap_or(u64::MAX)
            .max(width as u64);
        return Err(Stop::Revert(reverts::wrong_count(
            expected,
            features as u64,
        )));
    }
    // At most the number of features, which fit in memory; a model without features refuses later.
    usize::try_from(rows).map_err(|_| BadCalldata.into())
}

fn check_types(published: &Published, inputs: &[Tensor]) -> Result<(), Stop> {
    let ports = published.model().inputs();
    if ports.len() != inputs.len() {
        return Err(Stop::Revert(reverts::wrong_count(
            ports.len() as u64,
            inputs.len() as u64,
        )));
    }
    for (input, (port, tensor)) in ports.iter().zip(inputs).enumerate() {
        let PortKind::Tensor { dtype, .. } = port.kind else {
            return Err(no_tensor(published));
        };
        let got: DType = tensor.dtype();
        if dtype != got {
            return Err(Stop::Revert(revert(IInference::WrongType {
                input: U256::from(input),
                expected: dtype.onnx(),
                got: got.onnx(),
            })));
        }
    }
    Ok(())
}

fn run_gas(published: &Published, plan: &Plan) -> Result<u64, Stop> {
    gas::run(plan).map_err(|e| Stop::Revert(reverts::of_exec(published.model(), &e)))
}

fn output_size(published: &Published, plan: &Plan) -> Result<u64, Stop> {
    answer::tensors_size(plan.outputs()).ok_or_else(|| no_tensor(published))
}

/// Adds up what a warm call is charged, to the unit.
fn warm_gas(published: &Published, calldata: u64, run: u64, output: u64) -> u64 {
    let calldata = usize::try_from(calldata).unwrap_or(usize::MAX);
    gas::input(calldata)
        .saturating_add(gas::RECORD_WARM)
        .saturating_add(gas::walk(published.model().graph().nodes.len()))
        .saturating_add(run)
        .saturating_add(gas::output(output))
}

/// Adds up what the first touch in a transaction adds.
fn cold_extra(record: Record) -> u64 {
    gas::cold(record.size_bytes).saturating_add(gas::RECORD_COLD - gas::RECORD_WARM)
}

fn unknown(id: B256) -> Stop {
    Stop::Revert(revert(IInference::UnknownModel { model: id }))
}

fn not_active(id: B256) -> Stop {
    Stop::Revert(revert(IInference::ModelNotActive { model: id }))
}

fn no_tensor(published: &Published) -> Stop {
    Stop::Revert(reverts::failed(
        published.model().graph().nodes.len(),
        "not a tensor",
    ))
}
