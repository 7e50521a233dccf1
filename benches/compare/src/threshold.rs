//! Many small pieces: how large may they be for one copy of all to be faster than a list of them?

use std::fmt::Write;

use crate::{
    questions::copy_or_gather,
    ratios::{self, Measured},
};

/// How many pieces.
const PIECES: [usize; 6] = [2, 4, 8, 16, 32, 64];
/// Bytes of each.
const SIZES: [usize; 7] = [8, 32, 128, 256, 512, 1024, 2048];

/// The time of copying by that of gathering, over pieces and their sizes, and where copying ceases to be the faster.
pub struct Threshold {
    cells: Vec<(usize, usize, Measured)>,
}

/// Copying is faster where it takes less than this part of the time: less far from 1 may be noise.
pub const FASTER: f64 = 0.99;

/// Measures the grid, in about 15 seconds.
///
/// # Panics
///
/// If a case has no result.
pub fn measure() -> Threshold {
    let cell = |count, size| {
        let measured = ratios::measure(copy_or_gather::pair(count, size), ratios::ROUNDS / 2, ratios::RUN);
        (count, size, measured.into_iter().nth(1).expect("the second of two"))
    };
    Threshold { cells: PIECES.iter().flat_map(|&count| SIZES.map(|size| cell(count, size))).collect() }
}

impl Threshold {
    /// The largest pieces, of so many, for which and for all smaller ones copying is faster.
    fn of(&self, count: usize) -> Option<usize> {
        let row = self.cells.iter().filter(|(pieces, ..)| *pieces == count);
        row.take_while(|(.., measured)| measured.ratio.median < FASTER).last().map(|(_, size, _)| *size)
    }

    /// In Markdown.
    ///
    /// # Panics
    ///
    /// Never: a `String` takes every text.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from("| pieces |");
        SIZES.iter().for_each(|size| write!(text, " {size} B |").expect("room"));
        write!(text, " a copy is faster up to |\n|---:|{}\n", "---:|".repeat(SIZES.len() + 1)).expect("room");
        for count in PIECES {
            write!(text, "| {count} |").expect("room");
            for (.., measured) in self.cells.iter().filter(|(pieces, ..)| *pieces == count) {
                write!(text, " {:.2} |", measured.ratio.median).expect("room");
            }
            match self.of(count) {
                Some(size) => writeln!(text, " {size} B each, {} B in all |", count * size).expect("room"),
                None => text += " never |\n",
            }
        }
        text
    }
}
