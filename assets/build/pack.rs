//! How the guest keeps pictures: a row is a sequence of runs of one colour. A byte says how the next run's colour
//! differs from the one before, and how long the run is, by an entry of a dictionary that all pictures share; unpacking
//! takes seven instructions a run, which matters where each of them is interpreted.
//!
//! | byte | what follows |
//! |---|---|
//! | 0 | the picture is at its end |
//! | 1 | the row is at its end |
//! | 2 | one pixel: blue, green, red |
//! | 3 | one pixel: an entry of the list of changes |
//! | 4… | an entry of the dictionary |
//!
//! An entry of the dictionary is the difference of two colours (0x00RRGGBB, as numbers of 32 bits) and the run's
//! length; a length of zero marks the first four. Behind it are 256 differences more, of single pixels that are not
//! that common. Each picture begins with black.

use std::collections::HashMap;

use crate::canvas::{Canvas, Colour};

const END: u8 = 0;
const END_OF_ROW: u8 = 1;
const PIXEL: u8 = 2;
const CHANGE: u8 = 3;
const RESERVED: usize = 4;
const ENTRIES: usize = 256;
const CHANGES: usize = 256;

/// Colours are kept in steps of so much: half as many edges between colours.
const STEP: f32 = 2.0;

/// How the colour changes, and for how many pixels it is the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Run {
    change: u32,
    length: u32,
}

/// A picture of whole colours (0x00RRGGBB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flat {
    pub(crate) width: usize,
    pub(crate) pixels: Vec<u32>,
}

impl Flat {
    /// Rounds a picture. So that a slow change of colour has no visible steps, each row rounds at another place; that
    /// each is the same from end to end keeps the runs long.
    pub(crate) fn of(canvas: &Canvas) -> Self {
        const PLACES: [f32; 8] = [0.0, 4.0, 2.0, 6.0, 1.0, 5.0, 3.0, 7.0];
        let round = |colour: Colour, row: usize| {
            let place = (PLACES[row % 8] + 0.5) / 8.0;
            let [red, green, blue] = colour.map(|value| {
                // What is meant to be a step exactly must not fall below it by the arithmetic.
                let steps = (value / STEP + place + 1e-3).floor();
                (steps.clamp(0.0, 127.0) * STEP) as u32
            });
            red << 16 | green << 8 | blue
        };
        let pixels = canvas.pixels.iter().enumerate().map(|(index, colour)| round(*colour, index / canvas.width));
        Self { width: canvas.width, pixels: pixels.collect() }
    }

    fn rows(&self) -> impl Iterator<Item = Vec<Run>> {
        let mut colour = 0;
        self.pixels.chunks_exact(self.width).map(move |row| {
            let mut runs: Vec<Run> = Vec::new();
            for &pixel in row {
                match runs.last_mut() {
                    Some(run) if pixel == colour => run.length += 1,
                    _ => runs.push(Run { change: pixel.wrapping_sub(colour), length: 1 }),
                }
                colour = pixel;
            }
            runs
        })
    }
}

/// The runs that have a byte.
pub(crate) struct Dictionary {
    entries: Vec<Run>,
    bytes: HashMap<Run, u8>,
    /// By change, the lengths there are, longest first.
    lengths: HashMap<u32, Vec<u32>>,
    /// The changes of single pixels that have two bytes.
    changes: Vec<u32>,
}

impl Dictionary {
    /// The best one for some pictures: first what is there most often, then, in rounds, what would have been used most.
    pub(crate) fn for_pictures(pictures: &[&Flat]) -> Self {
        let mut wanted: HashMap<Run, usize> = HashMap::new();
        for run in pictures.iter().flat_map(|picture| picture.rows()).flatten() {
            *wanted.entry(run).or_default() += 1;
            // A longer run can begin with a shorter one
            *wanted.entry(Run { length: 1, ..run }).or_default() += 1;
        }
        let mut dictionary = Self::of(&wanted);
        for _ in 0..2 {
            let mut used: HashMap<Run, usize> = HashMap::new();
            for run in pictures.iter().flat_map(|picture| picture.rows()).flatten() {
                let pieces = dictionary.pieces(run);
                match pieces.first() {
                    Some(Ok(_)) => pieces.iter().flatten().for_each(|piece| *used.entry(*piece).or_default() += 1),
                    // So many bytes could have been saved
                    _ => *used.entry(Run { length: 1, ..run }).or_default() += 3,
                }
                if pieces.len() > 1 {
                    *used.entry(run).or_default() += pieces.len() - 1;
                }
            }
            dictionary = Self::of(&used);
        }
        dictionary.add_changes(pictures);
        dictionary
    }

    fn add_changes(&mut self, pictures: &[&Flat]) {
        let mut wanted: HashMap<u32, usize> = HashMap::new();
        for run in pictures.iter().flat_map(|picture| picture.rows()).flatten() {
            if let Some(Err(change)) = self.pieces(run).first() {
                *wanted.entry(*change).or_default() += 1;
            }
        }
        let mut changes: Vec<(u32, usize)> = wanted.into_iter().collect();
        changes.sort_by_key(|(change, count)| (std::cmp::Reverse(*count), *change));
        self.changes = changes.into_iter().take(CHANGES).map(|(change, _)| change).collect();
    }

    fn of(wanted: &HashMap<Run, usize>) -> Self {
        // Any run can be made longer by these
        let mut entries: Vec<Run> = (0..=10).map(|power| Run { change: 0, length: 1 << power }).collect();
        let mut candidates: Vec<(&Run, &usize)> = wanted.iter().filter(|(run, _)| !entries.contains(run)).collect();
        candidates.sort_by_key(|(run, count)| (std::cmp::Reverse(**count), **run));
        entries.extend(candidates.into_iter().take(ENTRIES - RESERVED - entries.len()).map(|(run, _)| *run));
        let bytes = entries.iter().enumerate().map(|(index, run)| (*run, (index + RESERVED) as u8)).collect();
        let mut lengths: HashMap<u32, Vec<u32>> = HashMap::new();
        for run in &entries {
            lengths.entry(run.change).or_default().push(run.length);
        }
        lengths.values_mut().for_each(|all| all.sort_by_key(|length| std::cmp::Reverse(*length)));
        Self { entries, bytes, lengths, changes: Vec::new() }
    }

    /// What a run is made of: entries, the first one of which may instead be a pixel by its change.
    fn pieces(&self, run: Run) -> Vec<Result<Run, u32>> {
        let fitting = |change: u32, length: u32| {
            let lengths = self.lengths.get(&change)?;
            lengths.iter().find(|known| **known <= length).map(|known| Run { change, length: *known })
        };
        let mut pieces = Vec::new();
        let mut left = run.length;
        match fitting(run.change, run.length) {
            Some(piece) => {
                left -= piece.length;
                pieces.push(Ok(piece));
            }
            None => {
                left -= 1;
                pieces.push(Err(run.change));
            }
        }
        while let Some(piece) = fitting(0, left).filter(|_| left > 0) {
            left -= piece.length;
            pieces.push(Ok(piece));
        }
        pieces
    }

    /// As the guest reads it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let reserved = std::iter::repeat_n(0, RESERVED * 8);
        let entries = self.entries.iter().flat_map(|run| [run.change.to_le_bytes(), run.length.to_le_bytes()]);
        let dictionary = reserved.chain(entries.flatten()).chain(std::iter::repeat(0)).take(ENTRIES * 8);
        dictionary.chain(self.changes.iter().flat_map(|change| change.to_le_bytes())).collect()
    }

    /// A picture as the guest reads it.
    pub(crate) fn pack(&self, picture: &Flat) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut colour = 0_u32;
        for row in picture.rows() {
            for run in row {
                colour = colour.wrapping_add(run.change);
                for piece in self.pieces(run) {
                    let entry = piece.ok().and_then(|entry| self.bytes.get(&entry));
                    let change = self.changes.iter().position(|change| Err(*change) == piece);
                    match (entry, change) {
                        (Some(byte), _) => bytes.push(*byte),
                        (None, Some(index)) => bytes.extend([CHANGE, index as u8]),
                        (None, None) => {
                            let [blue, green, red, _] = colour.to_le_bytes();
                            bytes.extend([PIXEL, blue, green, red]);
                        }
                    }
                }
            }
            bytes.push(END_OF_ROW);
        }
        bytes.push(END);
        bytes
    }

    /// What the guest makes of it; nothing if it isn't whole.
    pub(crate) fn unpack(&self, bytes: &[u8]) -> Option<Flat> {
        let mut bytes = bytes.iter();
        let (mut pixels, mut width, mut colour) = (Vec::new(), 0, 0_u32);
        loop {
            match *bytes.next()? {
                END => return bytes.next().is_none().then_some(Flat { width, pixels }),
                END_OF_ROW if width == 0 => width = pixels.len(),
                END_OF_ROW => (pixels.len() % width == 0).then_some(())?,
                PIXEL => {
                    colour = u32::from_le_bytes([*bytes.next()?, *bytes.next()?, *bytes.next()?, 0]);
                    pixels.push(colour);
                }
                CHANGE => {
                    colour = colour.wrapping_add(*self.changes.get(usize::from(*bytes.next()?))?);
                    pixels.push(colour);
                }
                byte => {
                    let run = self.entries.get(usize::from(byte) - RESERVED)?;
                    colour = colour.wrapping_add(run.change);
                    pixels.extend(std::iter::repeat_n(colour, run.length as usize));
                }
            }
        }
    }
}
