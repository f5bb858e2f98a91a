//! Compares the form of answers whose content is free.

use serde_json::Value;

use super::short;

/// Names the first place where a value has another form than the one on file: another type, a field
/// the file does not know, or no element where the file has some. Fields may be left out.
pub(super) fn difference(path: &str, got: &Value, wanted: &Value) -> Option<String> {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) if is_map(wanted) => {
            got.iter().find_map(|(key, got)| {
                let path = format!("{path}.{key}");
                // An entry may be of any of the forms on file.
                let mut found = wanted
                    .values()
                    .map(|example| difference(&path, got, example));
                found
                    .try_fold(None, |_, difference| difference.map(Some))
                    .flatten()
            })
        }
        (Value::Object(got), Value::Object(wanted)) => got.iter().find_map(|(key, got)| {
            let path = format!("{path}.{key}");
            match wanted.get(key) {
                Some(wanted) => difference(&path, got, wanted),
                None => Some(format!("{path} should not be there")),
            }
        }),
        (Value::Array(got), Value::Array(wanted)) => {
            let example = wanted.first()?;
            got.iter()
                .enumerate()
                .find_map(|(index, got)| difference(&format!("{path}[{index}]"), got, example))
        }
        (Value::String(got), Value::String(wanted)) => {
            let hex = |text: &str| text.starts_with("0x");
            (hex(got) != hex(wanted)).then(|| format!("{path} is {got}, should be like {wanted}"))
        }
        (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, _)
        | (_, Value::Null) => None,
        _ => Some(format!(
            "{path} is {}, should be like {}",
            short(got),
            short(wanted)
        )),
    }
}

/// Tells whether an object's keys are data (addresses, nonces) and no names of fields.
fn is_map(object: &serde_json::Map<String, Value>) -> bool {
    let data = |key: &str| key.starts_with("0x") || key.bytes().all(|byte| byte.is_ascii_digit());
    !object.is_empty() && object.keys().all(|key| data(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn content_is_free_and_form_is_not() {
        let wanted = json!({"a": "0x1", "b": [1], "c": {"0xaa": true}});
        let agrees = json!({"a": "0x2", "b": [2, 3], "c": {"0xbb": false}});
        assert_eq!(difference("r", &agrees, &wanted), None);
        for other in [
            json!({"a": "2"}),
            json!({"b": ["0x1"]}),
            json!({"c": {"0xbb": 1}}),
            json!({"d": 1}),
        ] {
            assert!(difference("r", &other, &wanted).is_some(), "{other}");
        }
    }
}
