//! User-space instructions for each operation, ours beside hand-written C, counted by callgrind.
//!
//! Counts repeat where times do not, so this bench has bounds: it fails if ours takes more than C, or more for an element
//! among many than for one among few. Both sides have the same inputs, hidden from the compiler, and each run checks what
//! it has produced.

#[cfg(target_os = "linux")]
mod c;

#[cfg(target_os = "linux")]
mod counting;

#[cfg(target_os = "linux")]
mod operations;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [run, name, times] if run == "--run" => {
            operations::find(name).expect("an operation's name")(times.parse().expect("a number of iterations"));
        }
        _ => {
            if !report() {
                std::process::exit(1);
            }
        }
    }
}

/// Prints the tables; whether every bound holds.
#[cfg(target_os = "linux")]
fn report() -> bool {
    let names = operations::names();
    let Some(counts) = counting::instructions(&names) else { return true };
    let count =
        |name: &str| counts[names.iter().position(|(known, _)| known == name).expect("a name that was counted")];
    let mut holds = true;

    println!("user-space instructions for one operation (callgrind, {} iterations)", counting::ITERATIONS);
    for (what, rows, bounded) in
        [("at most those of C:", operations::BOUNDED, true), ("for comparison:", operations::SHOWN, false)]
    {
        println!("\n{what:46} {:>8} {:>8}", "C", "ours");
        for &(title, ours, theirs) in rows {
            let (ours, theirs) = (count(ours), count(theirs));
            println!("{title:46} {theirs:8.1} {ours:8.1}");
            // Half an instruction is what page faults and the like in the rest of the program amount to.
            if bounded && ours > theirs + 0.5 {
                holds = false;
                println!("    ^ more than C");
            }
        }
    }

    println!("\n{:46} {:>8} {:>8} {:>12} {:>12}", "as it grows:", "C", "ours", "C: each more", "ours");
    for &(title, .., counts) in operations::growth::ROWS {
        let points = |ours| counts.map(|n| (n, count(&operations::growth::name(title, n, ours))));
        let (ours, theirs) = (points(true), points(false));
        let (each, each_c) = (operations::growth::each(ours), operations::growth::each(theirs));
        for (at, n) in counts.into_iter().enumerate() {
            print!("{:46} {:8.1} {:8.1}", format!("{title}: {n}"), theirs[at].1, ours[at].1);
            match at {
                0 => println!(),
                _ => println!(" {:12.2} {:12.2}", each_c[at - 1], each[at - 1]),
            }
        }
        if !operations::growth::is_linear(ours) {
            holds = false;
            println!("    ^ each more takes more than each before");
        }
    }
    holds
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: the layouts in C are those of Linux");
}
