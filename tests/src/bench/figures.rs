//! Figures of both sides, and how they are written down.

use serde_json::{Value, json};

/// Which direction is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times and sizes.
    Lower,
    /// Throughput.
    Higher,
}

/// What is measured, with the figure of each round of each side.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What is measured.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
    /// The figures, by the name of a side, in the order of the rounds.
    pub figures: Vec<(String, Vec<f64>)>,
}

/// The least, the middle and the greatest of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The one in the middle, or the mean of the two there.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Some(Self { min, median, max })
    }

    fn to_json(self) -> Value {
        json!({ "min": self.min, "median": self.median, "max": self.max })
    }
}

impl Row {
    /// Adds a figure of a side.
    pub fn add(&mut self, side: &str, figure: f64) {
        match self.figures.iter_mut().find(|(known, _)| known == side) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((side.to_owned(), vec![figure])),
        }
    }

    /// How much better `ours` is than `theirs`, round by round: above 1 is better, in either direction.
    #[must_use]
    pub fn ratio(&self, ours: &str, theirs: &str) -> Option<Spread> {
        let of = |side: &str| Some(&self.figures.iter().find(|(known, _)| known == side)?.1);
        let rounds = of(ours)?.iter().zip(of(theirs)?);
        let ratios: Vec<f64> = rounds
            .map(|(ours, theirs)| if self.better == Better::Lower { theirs / ours } else { ours / theirs })
            .collect();
        Spread::of(&ratios)
    }

    /// As whoever writes the report reads it.
    #[must_use]
    pub fn to_json(&self, ours: &str, theirs: &str) -> Value {
        let sides: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .filter_map(|(side, figures)| Some((side.clone(), Spread::of(figures)?.to_json())))
            .collect();
        let ratio = self.ratio(ours, theirs).map(Spread::to_json);
        json!({ "name": self.name, "unit": self.unit, "sides": sides, "ratio": ratio })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_row_keeps_its_sides_apart() {
        let mut row = Row { name: "boot", unit: "s", better: Better::Lower, figures: Vec::new() };
        row.add("qemu", 2.0);
        row.add("tandem", 1.0);
        row.add("qemu", 4.0);
        row.add("tandem", 4.0);
        let json = row.to_json("tandem", "qemu");
        assert_eq!(json["sides"]["qemu"]["median"], 3.0);
        assert_eq!(json["sides"]["tandem"]["max"], 4.0);
        assert_eq!(json["ratio"], json!({ "min": 1.0, "median": 1.5, "max": 2.0 }), "round by round");
        row.better = Better::Higher;
        assert_eq!(row.ratio("tandem", "qemu"), Some(Spread { min: 0.5, median: 0.75, max: 1.0 }));
        assert_eq!(row.ratio("tandem", "nobody"), None);
    }
}
