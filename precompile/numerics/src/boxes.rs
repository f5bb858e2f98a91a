//! Overlap of rectangles, for non-maximum suppression.

use crate::elementwise::Number;

/// Says what the four numbers of a box are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxForm {
    /// y1, x1, y2, x2: two opposite corners in any order.
    Corners,
    /// x centre, y centre, width, height.
    Centre,
}

/// Holds the bounds of a box: x low, x high, y low, y high.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds([f32; 4]);

impl Bounds {
    /// Reads a box.
    // Spec: N-33
    pub fn new(form: BoxForm, [a, b, c, d]: [f32; 4]) -> Self {
        match form {
            BoxForm::Corners => Self([b.min_of(d), b.max_of(d), a.min_of(c), a.max_of(c)]),
            BoxForm::Centre => {
                let (w, h) = (c / 2.0, d / 2.0);
                Self([a - w, a + w, b - h, b + h])
            }
        }
    }

    /// Tells whether the intersection of two boxes exceeds `threshold` times their union.
    // Spec: N-33
    pub fn overlaps(self, other: Self, threshold: f32) -> bool {
        let [ax0, ax1, ay0, ay1] = self.0;
        let [bx0, bx1, by0, by1] = other.0;
        let width = ax1.min_of(bx1) - ax0.max_of(bx0);
        let height = ay1.min_of(by1) - ay0.max_of(by0);
        // Written so that NaN never overlaps.
        if !(width > 0.0 && height > 0.0) {
            return false;
        }
        let shared = width * height;
        let (area_a, area_b) = ((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0));
        let union = area_a + area_b - shared;
        if !(shared > 0.0 && area_a > 0.0 && area_b > 0.0 && union > 0.0) {
            return false;
        }
        shared / union > threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_intersection_over_union() {
        let a = Bounds::new(BoxForm::Corners, [0.0, 0.0, 1.0, 1.0]);
        let flipped = Bounds::new(BoxForm::Corners, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(a, flipped);
        let half = Bounds::new(BoxForm::Centre, [1.0, 0.5, 1.0, 1.0]);
        // Shared 0.5, union 1.5.
        assert!(a.overlaps(half, 0.33) && half.overlaps(a, 0.33));
        assert!(!a.overlaps(half, 0.34));
        let away = Bounds::new(BoxForm::Corners, [1.0, 1.0, 2.0, 2.0]);
        assert!(!a.overlaps(away, 0.0));
    }

    #[test]
    fn nothing_overlaps_a_box_of_nans() {
        let a = Bounds::new(BoxForm::Corners, [0.0, 0.0, 1.0, 1.0]);
        let nan = Bounds::new(BoxForm::Centre, [f32::NAN, 0.5, 1.0, 1.0]);
        assert!(!a.overlaps(nan, -1.0) && !nan.overlaps(nan, -1.0));
    }
}
