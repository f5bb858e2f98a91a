//! Agreement between a manifest's members, checked after each is well-formed by itself.

use super::schema::Feature;
use super::{Contradiction, Dim, FileEntry, Manifest, ManifestError, Port};

/// ONNX TensorProto number of strings.
const DTYPE_STRING: u8 = 8;
/// ONNX TensorProto numbers of types that have a NaN and take features: float, float16, double,
/// bfloat16.
const DTYPES_WITH_NAN: [u8; 4] = [1, 10, 11, 16];

impl Manifest {
    /// Checks order, uniqueness and agreement of the members.
    pub(super) fn validate(&self) -> Result<(), ManifestError> {
        self.check_files()?;
        unique("inputs", self.inputs.iter().map(|port| port.name.as_str()))?;
        unique(
            "outputs",
            self.outputs.iter().map(|port| port.name.as_str()),
        )?;
        self.check_schema()?;
        let primary = self.outputs.iter().find(|port| port.name == self.primary);
        let unknown = || Contradiction::PrimaryUnknown {
            name: self.primary.clone(),
        };
        let primary = primary.ok_or_else(unknown)?;
        for column in &self.schema.columns {
            if column.labels.is_empty() == (primary.dtype == DTYPE_STRING) {
                return Err(Contradiction::LabelsMisplaced {
                    name: column.name.clone(),
                }
                .into());
            }
        }
        if let Some(name) = &self.batch {
            let leads = |port: &Port| port.shape.first() == Some(&Dim::Name(name.clone()));
            if !self.inputs.iter().all(leads) {
                return Err(Contradiction::BatchNotFirst { name: name.clone() }.into());
            }
        }
        self.check_features()
    }

    fn check_files(&self) -> Result<(), ManifestError> {
        ascending("files", self.files.iter().map(|file| file.name.as_str()))?;
        for (index, FileEntry { name, .. }) in self.files.iter().enumerate() {
            let plain =
                |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-');
            if name.starts_with('.') || !name.bytes().all(plain) {
                return Err(ManifestError::BadText {
                    path: format!("files[{index}].name"),
                    found: name.clone(),
                    expected: "letters, digits, '.', '_' and '-', not beginning with '.'",
                });
            }
        }
        let name = self.format.main_file();
        match self.file(name) {
            Some(_) => Ok(()),
            None => Err(Contradiction::MainFileMissing { name }.into()),
        }
    }

    fn check_schema(&self) -> Result<(), ManifestError> {
        let (features, columns) = (&self.schema.features, &self.schema.columns);
        unique(
            "schema.columns",
            columns.iter().map(|column| column.name.as_str()),
        )?;
        unique(
            "schema.features",
            features.iter().map(|feature| feature.name.as_str()),
        )?;
        for (
            index,
            Feature {
                categories,
                min,
                max,
                ..
            },
        ) in features.iter().enumerate()
        {
            let path = format!("schema.features[{index}]");
            let list = format!("{path}.categories");
            ascending(&list, categories.iter().map(|category| category.code))?;
            unique(
                &list,
                categories.iter().map(|category| category.label.as_str()),
            )?;
            if let (Some(min), Some(max)) = (min, max)
                && min > max
            {
                return Err(ManifestError::Order {
                    path: format!("{path}.max"),
                });
            }
        }
        for (index, column) in columns.iter().enumerate() {
            let path = format!("schema.columns[{index}].labels");
            unique(&path, column.labels.iter().map(String::as_str))?;
        }
        if features.is_empty() != columns.is_empty() {
            let (features, columns) = (features.len(), columns.len());
            return Err(Contradiction::HalfSchema { features, columns }.into());
        }
        Ok(())
    }

    /// Checks that the features, laid out over the inputs in order, fill one row exactly.
    fn check_features(&self) -> Result<(), ManifestError> {
        if self.schema.features.is_empty() {
            return Ok(());
        }
        let mut rest = self.schema.features.as_slice();
        let mut elements = 0u64;
        for port in &self.inputs {
            let width = self.row_elements(port)?;
            elements = elements.saturating_add(width);
            let count = usize::try_from(width).unwrap_or(usize::MAX).min(rest.len());
            let (taken, after) = rest.split_at(count);
            rest = after;
            for feature in taken {
                check_feature(feature, port.dtype)?;
            }
        }
        let features = self.schema.features.len();
        if u64::try_from(features).unwrap_or(u64::MAX) != elements {
            return Err(Contradiction::FeatureCount { features, elements }.into());
        }
        Ok(())
    }

    /// Multiplies an input's dimensions, the batch dimension counting as one.
    fn row_elements(&self, port: &Port) -> Result<u64, ManifestError> {
        let open = || Contradiction::OpenRow {
            name: port.name.clone(),
        };
        let mut elements = 1u64;
        for (axis, dim) in port.shape.iter().enumerate() {
            let size = match dim {
                Dim::Size(size) => *size,
                Dim::Name(name) if axis == 0 && Some(name) == self.batch.as_ref() => 1,
                Dim::Name(_) => return Err(open().into()),
            };
            elements = elements.checked_mul(size).ok_or_else(open)?;
        }
        Ok(elements)
    }
}

fn check_feature(feature: &Feature, dtype: u8) -> Result<(), ManifestError> {
    let name = || feature.name.clone();
    if feature.nullable && !DTYPES_WITH_NAN.contains(&dtype) {
        return Err(Contradiction::NullableInteger {
            name: name(),
            dtype,
        }
        .into());
    }
    if dtype == DTYPE_STRING && feature.categories.is_empty() {
        return Err(Contradiction::StringWithoutCategories { name: name() }.into());
    }
    Ok(())
}

fn ascending<T: PartialOrd>(
    path: &str,
    items: impl Iterator<Item = T>,
) -> Result<(), ManifestError> {
    let mut before: Option<T> = None;
    for (index, item) in items.enumerate() {
        if before.is_some_and(|before| before >= item) {
            return Err(ManifestError::Order {
                path: format!("{path}[{index}]"),
            });
        }
        before = Some(item);
    }
    Ok(())
}

fn unique<'a>(path: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            return Err(ManifestError::Order {
                path: format!("{path}[{index}]"),
            });
        }
    }
    Ok(())
}
