//! Reading Resize and Upsample: what their attributes ask for, in every version.

use assay_numerics::resample::{Coordinates, Filter, Nearest};

use super::super::{Entry, NodeCx, Op};
use super::{Policy, Resize, Source};
use crate::error::OpError;

fn read_filter(cx: &NodeCx<'_>, nearest: Nearest) -> Result<Filter, OpError> {
    let antialias = cx.opset() >= 18 && cx.flag("antialias", false)?;
    let a = if cx.opset() >= 11 {
        cx.float_or("cubic_coeff_a", -0.75)?
    } else {
        -0.75
    };
    match cx.string_or("mode", "nearest")?.as_str() {
        "nearest" if antialias => Err(OpError::Attribute {
            name: "antialias",
            why: "does not go with mode nearest",
        }),
        "nearest" => Ok(Filter::Nearest(nearest)),
        // Upsample has called it bilinear.
        "linear" | "bilinear" => Ok(Filter::Linear { antialias }),
        "cubic" if cx.opset() >= 11 => Ok(Filter::Cubic {
            a: f64::from(a),
            antialias,
        }),
        _ => Err(OpError::Attribute {
            name: "mode",
            why: "is not a known mode",
        }),
    }
}

/// Builds the forms before opset 11: asymmetric coordinates, the left neighbour is the nearest.
fn old_form(cx: &NodeCx<'_>, source: Source) -> Result<Box<dyn Op>, OpError> {
    Ok(Box::new(Resize {
        filter: read_filter(cx, Nearest::Floor)?,
        coordinates: Coordinates::Asymmetric,
        exclude_outside: false,
        extrapolation: 0.0,
        axes: None,
        policy: Policy::Stretch,
        source,
    }))
}

fn upsample(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() >= 10 {
        let what = "Upsample (Resize replaced it in opset 10)".to_owned();
        return Err(OpError::Unsupported { what });
    }
    if cx.opset() >= 9 {
        cx.arity(2..=2, 1)?;
        return old_form(cx, Source::Scales);
    }
    cx.arity(1..=1, 1)?;
    let missing = OpError::Attribute {
        name: "scales",
        why: "is missing",
    };
    let scales = cx.floats("scales")?.ok_or(missing)?;
    old_form(cx, Source::Stored(scales))
}

fn resize(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() < 11 {
        cx.arity(2..=2, 1)?;
        return old_form(cx, Source::Scales);
    }
    cx.arity(1..=4, 1)?;
    let unknown = |name| OpError::Attribute {
        name,
        why: "is not a known rule",
    };
    let nearest = match cx.string_or("nearest_mode", "round_prefer_floor")?.as_str() {
        "round_prefer_floor" => Nearest::PreferFloor,
        "round_prefer_ceil" => Nearest::PreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        _ => return Err(unknown("nearest_mode")),
    };
    let coordinates = match cx
        .string_or("coordinate_transformation_mode", "half_pixel")?
        .as_str()
    {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" if cx.opset() >= 19 => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_crop_and_resize" => Coordinates::Crop {
            start: 0.0,
            end: 1.0,
        },
        _ => return Err(unknown("coordinate_transformation_mode")),
    };
    let newer = cx.opset() >= 18;
    let policy = if newer {
        cx.string_or("keep_aspect_ratio_policy", "stretch")?
    } else {
        "stretch".into()
    };
    let policy = match policy.as_str() {
        "stretch" => Policy::Stretch,
        "not_larger" => Policy::NotLarger,
        "not_smaller" => Policy::NotSmaller,
        _ => return Err(unknown("keep_aspect_ratio_policy")),
    };
    Ok(Box::new(Resize {
        filter: read_filter(cx, nearest)?,
        coordinates,
        exclude_outside: cx.flag("exclude_outside", false)?,
        extrapolation: cx.float_or("extrapolation_value", 0.0)?,
        axes: if newer { cx.ints("axes")? } else { None },
        policy,
        source: Source::All,
    }))
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Upsample", 7, upsample),
    Entry::onnx("Resize", 10, resize),
];
