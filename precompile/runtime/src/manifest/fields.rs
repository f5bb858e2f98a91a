//! Taking typed members out of JSON objects, with the path of each in every error.

use crate::json::{INTEGER_MAX, Json};

use super::{Dim, ManifestError, TEXT_BYTES_MAX};

/// Gives out an object's members in the order of their keys.
pub(super) struct Fields {
    path: String,
    rest: std::iter::Peekable<std::vec::IntoIter<(String, Json)>>,
}

impl Fields {
    /// Opens the manifest's outermost object.
    pub(super) fn root(value: Json) -> Result<Self, ManifestError> {
        Self::open(value, String::new())
    }

    fn open(value: Json, path: String) -> Result<Self, ManifestError> {
        match value {
            Json::Object(members) => Ok(Self {
                path,
                rest: members.into_iter().peekable(),
            }),
            _ => Err(wrong_kind(path, "an object")),
        }
    }

    /// Returns the full path of a member.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Takes the member `name`, which must be the next in the order of keys.
    fn take(&mut self, name: &str) -> Result<Json, ManifestError> {
        if let Some((_, value)) = self.rest.next_if(|(key, _)| key == name) {
            return Ok(value);
        }
        match self.rest.peek().map(|(key, _)| key.clone()) {
            Some(key) if key.as_str() < name => Err(ManifestError::Unknown {
                path: self.path(&key),
            }),
            _ => Err(ManifestError::Missing {
                path: self.path(name),
            }),
        }
    }

    /// Refuses members that nobody took.
    pub(super) fn finish(mut self) -> Result<(), ManifestError> {
        match self.rest.next() {
            Some((key, _)) => Err(ManifestError::Unknown {
                path: self.path(&key),
            }),
            None => Ok(()),
        }
    }

    /// Takes a text of 1 to [`TEXT_BYTES_MAX`] bytes.
    pub(super) fn text(&mut self, name: &str) -> Result<String, ManifestError> {
        let value = self.take(name)?;
        text(value, self.path(name))
    }

    /// Takes a text or null.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, ManifestError> {
        match self.take(name)? {
            Json::Null => Ok(None),
            value => text(value, self.path(name)).map(Some),
        }
    }

    /// Takes true or false.
    pub(super) fn boolean(&mut self, name: &str) -> Result<bool, ManifestError> {
        match self.take(name)? {
            Json::Bool(value) => Ok(value),
            _ => Err(wrong_kind(self.path(name), "true or false")),
        }
    }

    /// Takes true, false or null.
    pub(super) fn optional_bool(&mut self, name: &str) -> Result<Option<bool>, ManifestError> {
        match self.take(name)? {
            Json::Null => Ok(None),
            Json::Bool(value) => Ok(Some(value)),
            _ => Err(wrong_kind(self.path(name), "true, false or null")),
        }
    }

    /// Takes an integer within `min..=max`.
    pub(super) fn integer(&mut self, name: &str, min: i64, max: i64) -> Result<i64, ManifestError> {
        let value = self.take(name)?;
        integer(value, self.path(name), min, max)
    }

    /// Takes `prefix` and `N` bytes in lower-case hexadecimal.
    pub(super) fn hex<const N: usize>(
        &mut self,
        name: &str,
        prefix: &str,
    ) -> Result<[u8; N], ManifestError> {
        let found = self.text(name)?;
        let digits = found
            .strip_prefix(prefix)
            .filter(|digits| digits.len() == 2 * N);
        let lower = |text: &&str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits
            .filter(lower)
            .and_then(|digits| alloy_primitives::hex::decode_to_array(digits).ok())
            .ok_or_else(|| ManifestError::BadText {
                path: self.path(name),
                found,
                expected: "lower-case hexadecimal of the right length",
            })
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Self, ManifestError> {
        let value = self.take(name)?;
        Self::open(value, self.path(name))
    }

    /// Takes a list of objects, each read by `read`.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
        read: impl Fn(Self) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        self.values(name, min, max, |value, path| read(Self::open(value, path)?))
    }

    /// Takes a list of `min..=max` values, each read by `read`.
    pub(super) fn values<T>(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
        read: impl Fn(Json, String) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        let value = self.take(name)?;
        let path = self.path(name);
        let Json::List(items) = value else {
            return Err(wrong_kind(path, "a list"));
        };
        if items.len() < min || items.len() > max {
            return Err(out_of_range(path, items.len(), min, max));
        }
        let one = |(index, item)| read(item, format!("{path}[{index}]"));
        items.into_iter().enumerate().map(one).collect()
    }
}

/// Reads a declared dimension: a size or a name.
pub(super) fn dimension(value: Json, path: String) -> Result<Dim, ManifestError> {
    match value {
        Json::Text(_) => text(value, path).map(Dim::Name),
        _ => integer(value, path, 0, INTEGER_MAX).map(|size| Dim::Size(size.unsigned_abs())),
    }
}

/// Reads a text of 1 to [`TEXT_BYTES_MAX`] bytes.
pub(super) fn text(value: Json, path: String) -> Result<String, ManifestError> {
    let Json::Text(text) = value else {
        return Err(wrong_kind(path, "a text"));
    };
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(out_of_range(path, text.len(), 1, TEXT_BYTES_MAX));
    }
    Ok(text)
}

fn integer(value: Json, path: String, min: i64, max: i64) -> Result<i64, ManifestError> {
    match value {
        Json::Int(found) if found < min || found > max => Err(ManifestError::OutOfRange {
            path,
            found,
            min,
            max,
        }),
        Json::Int(found) => Ok(found),
        _ => Err(wrong_kind(path, "an integer")),
    }
}

fn wrong_kind(path: String, expected: &'static str) -> ManifestError {
    ManifestError::WrongKind { path, expected }
}

/// Builds the error for a count or length; these are far below the integer range.
pub(super) fn out_of_range(path: String, found: usize, min: usize, max: usize) -> ManifestError {
    let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    ManifestError::OutOfRange {
        path,
        found: number(found),
        min: number(min),
        max: number(max),
    }
}
