//! Time as a ratio: the cases of one group take turns in short runs, so that what disturbs one disturbs all.

use std::{collections::BTreeMap, time::Duration};

use crate::questions::Case;

/// Rounds in which each case has one run; the order turns by one each round.
pub const ROUNDS: usize = 301;
/// How long one run takes, roughly: less than a time slice, so that others on the same processor disturb few.
pub const RUN: Duration = Duration::from_millis(1);

/// The lower quartile, the median and the upper quartile.
#[derive(Clone, Copy)]
pub struct Spread {
    /// A quarter is below.
    pub low: f64,
    /// Half is below.
    pub median: f64,
    /// A quarter is above.
    pub high: f64,
}

impl Spread {
    /// Of these figures, which are in no order.
    fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |part: usize| figures[(figures.len() - 1) * part / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

/// What one case took.
pub struct Measured {
    /// The case.
    pub case: Case,
    /// Nanoseconds for one operation, on the machine that measured.
    pub nanoseconds: f64,
    /// Its time by that of the group's first case in the same round.
    pub ratio: Spread,
    /// For the first case: a second run of it in the same round, by the first one. What differs here is noise.
    pub noise: Option<Spread>,
}

/// Measures these cases, group by group, in so many rounds, of runs of about this length.
pub fn measure(cases: Vec<Case>, rounds: usize, run: Duration) -> Vec<Measured> {
    let mut groups: BTreeMap<usize, Vec<Case>> = BTreeMap::new();
    let mut order: Vec<(&'static str, String)> = Vec::new();
    for case in cases {
        let key = (case.question, case.shape.clone());
        let at = order.iter().position(|known| *known == key).unwrap_or_else(|| {
            order.push(key);
            order.len() - 1
        });
        groups.entry(at).or_default().push(case);
    }
    groups.into_values().flat_map(|cases| group(cases, rounds, run)).collect()
}

fn group(cases: Vec<Case>, rounds: usize, run: Duration) -> Vec<Measured> {
    let times: Vec<u32> = cases.iter().map(|case| iterations(case, run)).collect();
    // The last contender is the first one again.
    let contenders = cases.len() + 1;
    let mut took: Vec<Vec<f64>> = vec![Vec::new(); contenders];
    for round in 0..rounds {
        for turn in 0..contenders {
            let who = (turn + round) % contenders;
            let (case, times) = (&cases[who % cases.len()], times[who % cases.len()]);
            took[who].push(case.run(times).as_nanos() as f64 / f64::from(times));
        }
    }
    let ratio = |who: usize| Spread::of(took[who].iter().zip(&took[0]).map(|(this, first)| this / first).collect());
    let noise = ratio(cases.len());
    let measured = |(who, case): (usize, Case)| Measured {
        case,
        nanoseconds: Spread::of(took[who].clone()).median,
        ratio: ratio(who),
        noise: (who == 0).then_some(noise),
    };
    cases.into_iter().enumerate().map(measured).collect()
}

/// As many as a run of this length takes, by the fastest of three.
fn iterations(case: &Case, run: Duration) -> u32 {
    let mut times = 1;
    loop {
        let took = [(); 3].map(|()| case.run(times)).into_iter().min().unwrap_or_default();
        if took * 4 > run {
            return (f64::from(times) * run.as_secs_f64() / took.as_secs_f64()).max(1.0) as u32;
        }
        times *= 2;
    }
}
