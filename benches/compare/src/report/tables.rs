//! The tables, in Markdown.

use std::fmt::Write;

use super::machine::Size;
use crate::{
    counts::{Counts, Row},
    questions::Case,
    ratios::{Measured, ROUNDS, RUN, Spread},
    threshold::FASTER,
};

/// What each question is, and who cannot answer it.
const QUESTIONS: &[(&str, &str, &str)] = &[
    (
        "gather",
        "Gather one datagram from slices",
        "Over a pair of AF_UNIX sockets; the receive is std's, for all. `ours`: added one by one by `data`; `ours, slices`: a \
         list. std has no vectored send of datagrams.",
    ),
    (
        "scatter",
        "Scatter one datagram into slices",
        "Over a pair of AF_UNIX sockets; the send is std's, for all. \
      std has no vectored receive of datagrams.",
    ),
    (
        "copy_or_gather",
        "Many small pieces: gather, or copy into one buffer",
        "The kernel's cost of a slice against a copy. `send`: by send(2) instead of sendmsg(2).",
    ),
    (
        "build",
        "Build control data alone",
        "nix, socket2 and quinn-udp build none without sending it; rustix knows no \
      messages of IP.",
    ),
    (
        "one_message",
        "One UDP datagram, sent and received",
        "Data, source, and what the control messages say. rustix and \
      socket2 know no messages of IP; socket2's receive, which fills uninitialised memory, cannot be checked without \
      `unsafe` and is left out. quinn-udp always enables ECN, PKTINFO, GRO and time stamps, so more arrives there.",
    ),
    (
        "plain",
        "One buffer without control data: a header, or the plain call",
        "`libc` is sendmsg or recvmsg with a header; `plain call` is sendto or recvfrom, as socket2's send. \
         The other end is always the plain call.",
    ),
    (
        "descriptors",
        "Descriptors: sent, received, closed",
        "std, socket2 and quinn-udp cannot. Sent from a list of \
      borrowed descriptors; nix and C copy it into one of numbers first.",
    ),
    (
        "stream",
        "Messages through a stream, some with a descriptor",
        "Each is written in three pieces and read out whole, with its descriptor, which is closed. Ours: `FdStream`. The others copy pieces into a buffer that is kept, and keep bytes and descriptors that have arrived, in code written for this, which knows no short write; `slices`: a list of pieces instead of the copy. sendfd asks for no close-on-exec; std has no descriptors.",
    ),
    (
        "batch",
        "Batches of datagrams of 64 B",
        "A system call for all, or one for each (`one by one`). rustix sends in one call and receives one by one, \
         quinn-udp the other way round. Ours: `SendBatch` and `RecvBatch`.",
    ),
    (
        "offload",
        "Segments in one buffer: UDP_SEGMENT and UDP_GRO",
        "`std, one by one` is what they save. rustix and socket2 have no such messages. In the last row 8 messages go in \
         one call and arrive in one; quinn-udp sends each alone, and unbatched, ours sends and receives each alone.",
    ),
];

/// One table for each question: rows are shapes, columns are libraries.
fn by_question<'a, T>(
    items: &'a [T],
    remarks: bool,
    case: impl Fn(&T) -> &Case,
    cell: impl Fn(&'a T) -> String,
) -> String {
    let mut text = String::new();
    for (question, title, remark) in QUESTIONS {
        let items: Vec<&T> = items.iter().filter(|item| case(item).question == *question).collect();
        if items.is_empty() {
            continue;
        }
        let (mut shapes, mut libraries) = (Vec::new(), Vec::new());
        for item in &items {
            let case = case(item);
            if !shapes.contains(&&case.shape) {
                shapes.push(&case.shape);
            }
            if !libraries.contains(&case.who) {
                libraries.push(case.who);
            }
        }
        write!(text, "### {title}\n\n").expect("room");
        if remarks {
            write!(text, "{remark}\n\n").expect("room");
        }
        text += "| |";
        libraries.iter().for_each(|who| write!(text, " {who} |").expect("room"));
        write!(text, "\n|---|{}\n", "---:|".repeat(libraries.len())).expect("room");
        for shape in shapes {
            write!(text, "| {shape} |").expect("room");
            for who in &libraries {
                let found = items.iter().find(|item| case(item).shape == *shape && case(item).who == *who);
                write!(text, " {} |", found.map_or("-".into(), |item| cell(item))).expect("room");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// Instructions and allocations.
pub fn counts(counts: &Counts) -> String {
    let mut text = String::from(
        "User-space instructions for one operation; in brackets heap allocations, if any. `-`: not measured, mostly \
         because the library cannot do it. Of the questions about slices only the rows of 4096 B are counted: how long the \
         slices are makes no difference, unless they are copied.\n\n",
    );
    text += &by_question(
        &counts.cases,
        true,
        |counted| &counted.case,
        |counted| {
            let instructions = counted.instructions.map_or("?".into(), |count| format!("{count:.0}"));
            match counted.allocations {
                0.0 => instructions,
                allocations => format!("{instructions} [{allocations:.0}]"),
            }
        },
    );
    text += "### Control data alone, against C\n\nThe other libraries build or read none of these without a \
         socket. The compiler knows how many messages and descriptors there are, other than above and in `How it grows`. \
         `cargo bench --bench instructions` fails if ours takes more in the first rows, to \
         `parse TTL + PKTINFO, by type` and of building for QUIC; in the others \
         ours does more than C, or both are so close that the compiler's use of registers decides.\n\n";
    text += "| | C | ours |\n|---|---:|---:|\n";
    for Row { title, by_hand, ours, .. } in &counts.alone {
        writeln!(text, "| {title} | {by_hand:.0} | {ours:.0} |").expect("room");
    }
    text += "\n### How it grows\n\nInstructions in all, and for each element more than in the row above. The counting fails \
             if a later element takes a tenth of an instruction more than an earlier one.\n\n\
             | | C | ours | C, each more | ours, each more |\n|---|---:|---:|---:|---:|\n";
    for Row { title, by_hand, ours, each } in &counts.growth {
        let each = each.map_or("| |".into(), |(by_hand, ours)| format!("{by_hand:.2} | {ours:.2} |"));
        writeln!(text, "| {title} | {by_hand:.0} | {ours:.0} | {each}").expect("room");
    }
    text
}

fn spread(Spread { low, median, high }: Spread) -> String {
    format!("{median:.2} ({low:.2} to {high:.2})")
}

/// Times by that of the first library.
pub fn ratios(measured: &[Measured]) -> String {
    let mut text = String::from(
        "By the first column: median (quartiles). In the first column, the first contender by itself: what differs from \
         1 is noise.\n\n",
    );
    text += &by_question(measured, false, |one| &one.case, |one| spread(one.noise.unwrap_or(one.ratio)));
    text
}

/// How each figure was measured, and its noise.
pub(super) fn method(measured: &[Measured], seconds: u64) -> String {
    let noise = || measured.iter().filter_map(|one| one.noise);
    let (mut off, mut wide): (Vec<f64>, Vec<f64>) =
        noise().map(|noise| ((noise.median - 1.0).abs(), noise.high - noise.low)).unzip();
    off.sort_by(f64::total_cmp);
    wide.sort_by(f64::total_cmp);
    let (off, wide) = (off[off.len() * 9 / 10] * 100.0, wide[wide.len() / 2] * 100.0);
    format!(
        "## How it is measured\n\n\
         Every contender first passes the same message once, and what arrives is compared: bytes, control messages, \
         descriptors. All is sent and received in one thread, so a figure holds the kernel's work for both.\n\n\
         * **Time**: the contenders of a row take turns, {ROUNDS} rounds in runs of {} ms, in an order that turns by one \
         each round. A figure is the median, over the rounds, of the ratio within a round. It took {seconds} s.\n\
         * **Noise**: the first contender runs twice in each round, and the ratio of both should be 1. The middle half of \
         these ratios is {wide:.1} % wide (median of all rows); the medians of nine rows in ten are off by {off:.1} % or \
         less. Medians that differ by less say nothing. What takes nanoseconds, as building control data alone does, also depends \
         on where the compiler puts the code.\n\
         * **Instructions**: callgrind, the program without the kernel; a long run less a short one, by {} operations ({} \
         of batches of 128 and more), less an empty loop. They repeat with the same compiler.\n\
         * **Allocations**: an allocator that counts, 200 operations.\n\
         * **Size and compile time**: `benches/size`.\n",
        RUN.as_millis(),
        crate::counting::ITERATIONS,
        crate::counting::FEW,
    )
}

/// Each library by hand-written C, over all rows of a question.
pub(super) fn brief(measured: &[Measured]) -> String {
    const LIBRARIES: [&str; 7] = ["ours", "nix", "rustix", "socket2", "std", "quinn-udp", "sendfd"];
    let mut text = format!(
        "\n## In brief\n\nTime, where hand-written C with sendmsg and recvmsg, or sendmmsg and recvmmsg, takes 1: the \
         median over the rows of each question, and the extremes. What is below 1 by more than the noise takes a cheaper \
         call, or fewer, copies small pieces, or makes the call without the C library (rustix). `-`: not measured, mostly \
         because the library cannot do it in one call; what is done one by one stands below, as does C's plain recv: it \
         takes less than any recvmsg, ours too, and tells nothing of a message that was cut. Of one buffer, socket2's \
         sends alone are here, of one datagram std's and rustix's without control data.\n\n| | {} |\n|---|{}\n",
        LIBRARIES.join(" | "),
        "---:|".repeat(LIBRARIES.len()),
    );
    for (question, title, _) in QUESTIONS {
        let of =
            |who: &'static str| measured.iter().filter(move |one| (one.case.question, one.case.who) == (question, who));
        let cell = |who| {
            let ratio = |one: &Measured| {
                let by_hand = of("libc").find(|by_hand| by_hand.case.shape == one.case.shape)?;
                Some(one.ratio.median / by_hand.ratio.median)
            };
            let mut ratios: Vec<f64> = of(who).filter_map(ratio).collect();
            ratios.sort_by(f64::total_cmp);
            match ratios[..] {
                [] => "-".into(),
                [only] => format!("{only:.2}"),
                [low, .., high] => format!("{:.2} ({low:.2} to {high:.2})", ratios[ratios.len() / 2]),
            }
        };
        writeln!(text, "| {title} | {} |", LIBRARIES.map(cell).join(" | ")).expect("room");
    }
    text
}

/// Where copying ceases to be faster.
pub(super) fn threshold(table: &str) -> String {
    format!(
        "### Copy or gather: the threshold\n\nThe time of C that copies all pieces into one buffer and sends that, by that of \
         C that sends a list of the pieces; pieces and buffer are in the cache. Both by sendmsg(2), as beside control messages; \
         without any, one buffer goes by the cheaper call. The library copies 16 KiB at most, which is what it takes of the \
         stack. Faster is what takes less than {FASTER}; `benches/report threshold` prints this table.\n\n{table}\n"
    )
}

/// A small user's program.
pub(super) fn sizes(sizes: &[Size]) -> String {
    let mut text = String::from(
        "\n## A small user's program\n\nIt sends one UDP datagram with a TTL and a source address, receives it, and reads TTL \
         and destination (`benches/size`). std and rustix have no such messages: there it is the datagram alone. Built \
         in release mode and stripped; the seconds are the least of three builds of everything, dependencies included.\n\n\
         | | bytes | more than std | processor seconds of a cold build | crates |\n|---|---:|---:|---:|---:|\n",
    );
    let least = sizes.first().map_or(0, |size| size.bytes);
    for Size { name, bytes, seconds, crates } in sizes {
        let more = *bytes as i64 - least as i64;
        writeln!(text, "| {name} | {bytes} | {more} | {seconds:.1} | {crates} |").expect("room");
    }
    text
}
