//! The positional arguments of a call.

use alloy_primitives::B256;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::RpcError;

/// The positional arguments of a call, taken one by one.
#[derive(Debug)]
pub(crate) struct Arguments {
    values: std::vec::IntoIter<Value>,
    taken: usize,
}

impl Arguments {
    /// Takes the `params` of a request.
    pub(crate) fn new(params: Option<Value>) -> Result<Self, RpcError> {
        let values = match params {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => return Err(RpcError::params("non-array args")),
        };
        Ok(Self {
            values: values.into_iter(),
            taken: 0,
        })
    }

    /// Takes the next argument, which must be there.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<T, RpcError> {
        let index = self.taken;
        self.optional()?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    /// Takes the next argument, if there is one that is not null.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, RpcError> {
        let index = self.taken;
        self.taken += 1;
        match self.values.next() {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| RpcError::params(format!("invalid argument {index}: {error}"))),
        }
    }

    /// Takes a hash, which must begin with 0x: a bare one is often a number misread.
    pub(crate) fn hash(&mut self) -> Result<B256, RpcError> {
        let index = self.taken;
        let text: String = self.next()?;
        if !text.starts_with("0x") {
            let message = format!("invalid argument {index}: hex string without 0x prefix");
            return Err(RpcError::params(message));
        }
        text.parse()
            .map_err(|error| RpcError::params(format!("invalid argument {index}: {error}")))
    }

    /// Takes the next argument as it is.
    pub(crate) fn raw(&mut self) -> Value {
        self.taken += 1;
        self.values.next().unwrap_or(Value::Null)
    }

    /// Takes a number, given as a quantity or plainly.
    pub(crate) fn number(&mut self) -> Result<u64, RpcError> {
        let index = self.taken;
        self.optional_number()?
            .ok_or_else(|| RpcError::params(format!("missing value for required argument {index}")))
    }

    /// Takes a number, given as a quantity or plainly, if there is one.
    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>, RpcError> {
        let index = self.taken;
        let number: Option<alloy_primitives::U256> = self.optional()?;
        number
            .map(|number| {
                u64::try_from(number).map_err(|_| {
                    RpcError::params(format!(
                        "invalid argument {index}: {number} is above 64 bits"
                    ))
                })
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_argument_that_is_missing_or_wrong() {
        let mut arguments = Arguments::new(Some(serde_json::json!(["0x1", "x"]))).unwrap();
        assert_eq!(arguments.number().unwrap(), 1);
        assert!(
            arguments
                .number()
                .unwrap_err()
                .message
                .starts_with("invalid argument 1")
        );
        let error = arguments.next::<String>().unwrap_err();
        assert_eq!(error.message, "missing value for required argument 2");
        assert!(Arguments::new(Some(serde_json::json!({}))).is_err());
    }
}
