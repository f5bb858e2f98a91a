"""Tests of comparison.py: $(scripts/python-env) -m unittest discover -s scripts"""

import unittest

import numpy as np

from comparison import compare, from_fixed


def column(*values):
    return np.array(values, float).reshape(-1, 1)


class ComparisonTest(unittest.TestCase):
    def test_fixed_point_becomes_the_nearest_float(self):
        self.assertEqual(from_fixed("100000000000000005", 18), 0.1)
        self.assertEqual(from_fixed("-25", 1), -2.5)
        self.assertEqual(from_fixed("7", 0), 7.0)

    def test_scores_are_compared_absolutely(self):
        result = compare(column(0.001, 0.9), column(0.002, 0.9), True, (0.5,), 0.01)
        self.assertAlmostEqual(result.maximum, 0.001)
        self.assertEqual((result.scale, result.worst_row), ("absolute", 0))

    def test_quantities_are_compared_relative_to_the_column(self):
        result = compare(column(100.0, 0.0), column(101.0, 0.1), False, (), 0.0)
        self.assertAlmostEqual(result.maximum, 0.01)
        self.assertIsNone(result.flips)

    def test_crossing_a_threshold_is_a_flip(self):
        original, ours = column(0.499, 0.2, 0.9), column(0.501, 0.2, 0.9)
        result = compare(original, ours, True, (0.5,), 0.01)
        self.assertEqual((result.flips, result.near), ([0], [0]))
        self.assertEqual(compare(original, ours, True, (0.95,), 0.01).flips, [])

    def test_several_classes_flip_by_the_largest_score(self):
        original = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
        ours = np.array([[0.2, 0.39, 0.41], [0.1, 0.1, 0.8]])
        result = compare(original, ours, True, (0.5,), 0.1)
        self.assertEqual((result.flips, result.near), ([0], []))

    def test_a_missing_answer_is_no_agreement(self):
        result = compare(column(1.0), column(float("nan")), False, (), 0.0)
        self.assertFalse(result.maximum <= 1.0)

    def test_other_shapes_are_refused(self):
        with self.assertRaises(ValueError):
            compare(column(1.0, 2.0), column(1.0), False, (), 0.0)


if __name__ == "__main__":
    unittest.main()
