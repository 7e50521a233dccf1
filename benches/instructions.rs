//! User-space instructions for each operation, ours beside hand-written C, counted by callgrind.
//!
//! Counts repeat where times do not, so this bench has bounds: it fails if ours takes more than C. Each figure is the
//! difference between a long and a short run of this program under `valgrind --tool=callgrind`, divided by the
//! iterations in between, less an empty loop: exact to the fraction that the rest of the program varies by. Both sides
//! have the same inputs, hidden from the compiler, and each run checks what it has produced.

#[cfg(target_os = "linux")]
mod c;

#[cfg(target_os = "linux")]
mod operations;

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [run, name, times] if run == "--run" => {
            let (_, operation) = operations::ALL.iter().find(|(known, _)| known == name).expect("an operation's name");
            operation(times.parse().expect("a number of iterations"));
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
    if let Err(error) = std::process::Command::new("valgrind").arg("--version").output() {
        eprintln!("SKIPPED: valgrind counts the instructions, and it is not here: {error}");
        return true;
    }
    let empty = count("empty");
    let pair = |&(title, ours, theirs): &(&str, &str, &str)| {
        let (ours, theirs) = (count(ours) - empty, count(theirs) - empty);
        println!("{title:46} {theirs:8.1} {ours:8.1}");
        // Half an instruction is what page faults and the like in the rest of the program amount to.
        ours <= theirs + 0.5
    };
    println!("user-space instructions for one operation (callgrind, {} iterations)", LONG - SHORT);
    println!("\n{:46} {:>8} {:>8}", "at most those of C:", "C", "ours");
    let mut holds = true;
    for line in operations::BOUNDED {
        if !pair(line) {
            holds = false;
            println!("    ^ more than C");
        }
    }
    println!("\n{:46} {:>8} {:>8}", "for comparison:", "C", "ours");
    for line in operations::SHOWN {
        pair(line);
    }
    holds
}

#[cfg(target_os = "linux")]
const SHORT: u32 = 1_000;
#[cfg(target_os = "linux")]
const LONG: u32 = 3_000;

/// Instructions for one iteration.
#[cfg(target_os = "linux")]
fn count(name: &str) -> f64 {
    let total = |times: u32| -> f64 {
        let exe = std::env::current_exe().expect("the path of this program");
        let output = std::process::Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(exe)
            .args(["--run", name, &times.to_string()])
            .output()
            .expect("valgrind runs");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {log}");
        let collected = log.lines().find_map(|line| line.split("Collected : ").nth(1)).expect("a count in the log");
        collected.trim().parse().expect("a number")
    };
    (total(LONG) - total(SHORT)) / f64::from(LONG - SHORT)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("SKIPPED: the layouts in C are those of Linux");
}
