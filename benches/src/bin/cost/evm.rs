//! The same sweep through an EVM: what a contract's second call of a model in a transaction pays, and how long it takes.

use std::{
    error::Error,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_sol_types::SolCall as _;
use assay_executor::{Executor, SimulationRules};
use assay_precompile::{
    Host, ModelSource,
    abi::{self, IInference},
    registry::Record,
};
use assay_runtime::{
    Limits, Model, Tensor,
    bundle::Bundle,
    elements,
    manifest::{FeatureSchema, Format, Manifest},
    numerics::Engine,
    published::manifest_port,
};
use assay_types::{Account, AssayParams, ChainSpec, Header, StateView};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    inspector::NoOpInspector,
};

use super::{CASE_TIME, Measured, made};

const SENDER: Address = Address::repeat_byte(0x11);
/// Calls the precompile with its calldata; answers whether it succeeded, twice.
const ONCE: Address = Address::repeat_byte(0x21);
const ONCE_CODE: &[u8] = &hex!("365f5f37 5f5f365f610a115afa 805f52 602052 60405ff3");
/// Calls it twice; answers the gas of the second call, and whether that succeeded.
const TWICE: Address = Address::repeat_byte(0x22);
const TWICE_CODE: &[u8] =
    &hex!("365f5f37 5f5f365f610a115afa50 5a 5f5f365f610a115afa 5a 919060205203 5f52 60405ff3");
/// Gas of a simulated transaction: the dearest case takes a part of it.
const GAS_LIMIT: u64 = 1 << 40;
const LOADED_BYTES: u64 = 1 << 30;

/// One model, as the node's store would give it.
struct One(B256, Bytes);

impl ModelSource for One {
    fn bundle(&self, model: B256) -> std::io::Result<Option<bytes::Bytes>> {
        Ok((model == self.0).then(|| self.1.0.clone()))
    }
}

/// The least state such a call needs: two contracts and the registry's record of the model.
#[derive(Debug, Clone)]
struct State {
    record: (U256, U256),
    params: AssayParams,
}

impl StateView for State {
    type Error = std::convert::Infallible;

    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
        let code = self.code_of(address);
        Ok(Some(Account {
            balance: U256::MAX >> 1,
            code_hash: keccak256(code),
            ..Account::default()
        }))
    }

    fn storage(&self, address: Address, key: U256) -> Result<U256, Self::Error> {
        let found = address == self.params.model_registry && key == self.record.0;
        Ok(if found { self.record.1 } else { U256::ZERO })
    }

    fn code(&self, hash: B256) -> Result<Bytes, Self::Error> {
        let codes = [ONCE_CODE, TWICE_CODE];
        let code = codes.into_iter().find(|code| keccak256(code) == hash);
        Ok(code.unwrap_or(&[0xfe]).into())
    }

    fn block_hash(&self, _: u64) -> Result<B256, Self::Error> {
        Ok(B256::ZERO)
    }
}

impl State {
    fn code_of(&self, address: Address) -> &'static [u8] {
        match address {
            ONCE => ONCE_CODE,
            TWICE => TWICE_CODE,
            _ if address == self.params.inference || address == self.params.model_registry => {
                &[0xfe]
            }
            _ => &[],
        }
    }
}

/// Returns the gas of a warm `run` call in a transaction, and by how much it makes the shortest of several transactions longer.
pub(crate) fn measure(engine: &Engine, path: &Path) -> Measured {
    let file = fs::read(path)?;
    let model = Model::from_onnx(file.clone().into(), &Limits::default())?;
    let inputs = model.inputs().iter().map(made);
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let bundle = pack(&model, file)?;
    let id = bundle.model_id().0;
    let mut bytes = Vec::new();
    bundle.write_to(&mut bytes)?;
    // Active since block 5, of a size that is only a price.
    let word = U256::from(3) | U256::from(5) << 16 | U256::from(4_096) << 80;
    let params = AssayParams::default();
    let state = State {
        record: (Record::key(id), word),
        params: params.clone(),
    };
    let host = Host::new(
        Box::new(One(id, bytes.into())),
        Limits::default(),
        Engine::new(engine.isa(), 1),
    );
    let host = host.with_caches(LOADED_BYTES, 0);
    let executor = Executor::new(spec(params)?.into()).with_models(Arc::new(host));
    let call = IInference::runCall {
        model: id,
        inputs: inputs.iter().map(argument).collect(),
    };
    let data = Bytes::from(call.abi_encode());
    let header = Header {
        number: 9,
        timestamp: 9,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(0),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        withdrawals_root: Some(B256::ZERO),
        ..Header::default()
    };
    let run = |contract| -> Result<(Duration, u64), Box<dyn Error>> {
        let message = TxEnv {
            caller: SENDER,
            chain_id: None,
            kind: TxKind::Call(contract),
            data: data.clone(),
            gas_limit: GAS_LIMIT,
            ..TxEnv::default()
        };
        let rules = SimulationRules::CALL;
        let mut simulation = executor.simulation(state.clone(), &header, rules, NoOpInspector);
        let start = Instant::now();
        let result = simulation.run(message)?.result;
        Ok((start.elapsed(), answered(&result)?))
    };
    let (begun, mut calls, mut gas) = (Instant::now(), 0, 0);
    let (mut once, mut twice) = (Duration::MAX, Duration::MAX);
    while begun.elapsed() < CASE_TIME || calls < 4 {
        once = once.min(run(ONCE)?.0);
        let (time, second) = run(TWICE)?;
        (twice, gas) = (twice.min(time), second);
        calls += 1;
    }
    // A call that the clock cannot tell from none is not measured.
    let time = twice.checked_sub(once).filter(|time| !time.is_zero());
    Ok((gas, time.ok_or("the clock does not see the call")?))
}

/// Reads the first word a contract answers; the second says whether its last call succeeded.
fn answered(result: &ExecutionResult) -> Result<u64, Box<dyn Error>> {
    let ExecutionResult::Success { output, .. } = result else {
        return Err(format!("the calling contract failed: {result:?}").into());
    };
    let (gas, succeeded) = output.data().split_at_checked(32).ok_or("no answer")?;
    match U256::from_be_slice(succeeded).is_zero() {
        false => Ok(U256::from_be_slice(gas).saturating_to()),
        true => Err("the call of the model failed".into()),
    }
}

fn argument(tensor: &Tensor) -> abi::Tensor {
    let mut data = Vec::new();
    elements::encode(tensor.data(), &mut data);
    abi::Tensor {
        dtype: tensor.dtype().onnx(),
        shape: tensor.shape().iter().map(|size| *size as u64).collect(),
        data: data.into(),
    }
}

fn pack(model: &Model, file: Vec<u8>) -> Result<Bundle, Box<dyn Error>> {
    let ports = |list: &[assay_runtime::Port]| -> Result<Vec<_>, Box<dyn Error>> {
        let port = |one| manifest_port(one).ok_or_else(|| "a port is no tensor".into());
        list.iter().map(port).collect()
    };
    let outputs = ports(model.outputs())?;
    let manifest = Manifest {
        name: "case".to_owned(),
        version: "1".to_owned(),
        format: Format::Onnx,
        numerics: 1,
        licence: "NONE".to_owned(),
        publisher: Address::ZERO,
        calibrated: None,
        batch: None,
        inputs: ports(model.inputs())?,
        primary: outputs.first().ok_or("no output")?.name.clone(),
        outputs,
        schema: FeatureSchema::default(),
        files: Vec::new(),
    };
    Ok(Bundle::pack(
        manifest,
        vec![("model.onnx".to_owned(), file.into())],
    )?)
}

fn spec(params: AssayParams) -> Result<ChainSpec, Box<dyn Error>> {
    let config = r#"{"chainId":31337,"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,
        "byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,
        "londonBlock":0,"terminalTotalDifficulty":0,"terminalTotalDifficultyPassed":true,"shanghaiTime":0,
        "cancunTime":0,"pragueTime":0,"osakaTime":0}"#;
    Ok(ChainSpec::new(serde_json::from_str(config)?, Some(params)))
}
