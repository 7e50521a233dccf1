//! The plots.

use std::path::Path;

use plotters::{coord::ranged1d::ValueFormatter, prelude::*};

use crate::{counts::Counts, ratios::Measured};

const SIZE: (u32, u32) = (760, 420);

/// Room for the names of the lines, right of the plot.
const LEGEND: u32 = 150;

/// The colours of the lines: blue, orange, green, red, violet, brown.
const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
];

/// A line: its name, colour, whether it is dashed, and its points.
struct Line {
    name: String,
    colour: RGBColor,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// Draws all of them into this folder.
///
/// # Panics
///
/// If a file cannot be written.
pub(super) fn draw(folder: &Path, counts: &Counts, measured: &[Measured]) {
    let file = |name: &str| folder.join(name);
    for (question, title) in [("gather", "Gathering one datagram"), ("scatter", "Scattering one datagram")] {
        let lines = throughput(measured, question);
        let (name, title) = (format!("{question}.svg"), format!("{title}: bytes per nanosecond, ours and C"));
        lines_plot(&file(&name), &title, "slices", "GB/s", true, &lines);
    }
    let batch = per_count(measured, "batch", "plain", |one| one.ratio.median);
    lines_plot(
        &file("batch.svg"),
        "Datagrams of 64 B, by C with one call for each",
        "datagrams",
        "time",
        false,
        &batch,
    );
    let offload = per_count(measured, "offload", "segments", |one| one.case.bytes as f64 / one.nanoseconds);
    lines_plot(&file("offload.svg"), "Segments of 1,200 B: bytes per nanosecond", "segments", "GB/s", true, &offload);

    let ofone = |question: &str| question == "one_message";
    let cost: Vec<_> = counts
        .cases
        .iter()
        .filter(|counted| ofone(counted.case.question))
        .filter_map(|counted| {
            let instructions = counted.instructions?;
            Some((format!("{}: {}", counted.case.shape, counted.case.who), [instructions; 3]))
        })
        .collect();
    bars_plot(&file("message-instructions.svg"), "One UDP datagram: user-space instructions", "instructions", &cost);
    let time: Vec<_> = measured
        .iter()
        .filter(|one| ofone(one.case.question))
        .map(|one| {
            let ratio = one.noise.unwrap_or(one.ratio);
            (format!("{}: {}", one.case.shape, one.case.who), [ratio.low, ratio.median, ratio.high])
        })
        .collect();
    let title = "One UDP datagram: time by that of libc, quartiles (libc: by itself)";
    bars_plot(&file("message-time.svg"), title, "time by libc's", &time);
}

/// The first number of a shape, `4096` and `16` in `4096 B in 16`.
fn numbers(shape: &str) -> Vec<f64> {
    shape.split(' ').filter_map(|word| word.parse().ok()).collect()
}

/// Bytes per nanosecond over slices, for each size, ours and C.
fn throughput(measured: &[Measured], question: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for one in measured.iter().filter(|one| one.case.question == question && ["libc", "ours"].contains(&one.case.who)) {
        let (dashed, numbers) = (one.case.who == "libc", numbers(&one.case.shape));
        let name = format!("{} B, {}", numbers[0], if dashed { "C" } else { "ours" });
        let point = (numbers[1], one.case.bytes as f64 / one.nanoseconds);
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => {
                let RGBColor(red, green, blue) = COLOURS[lines.len() / 2];
                let colour = if dashed { RGBColor(red / 2, green / 2, blue / 2) } else { RGBColor(red, green, blue) };
                lines.push(Line { name, colour, dashed, points: vec![point] });
            }
        }
    }
    lines
}

/// Some figure over the count in a shape that has this word in it, a line for each library.
fn per_count(measured: &[Measured], question: &str, word: &str, figure: impl Fn(&Measured) -> f64) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for one in measured.iter().filter(|one| one.case.question == question && one.case.shape.contains(word)) {
        let point = (numbers(&one.case.shape)[0], figure(one));
        match lines.iter_mut().find(|line| line.name == one.case.who) {
            Some(line) => line.points.push(point),
            None => {
                let (colour, dashed) = (COLOURS[lines.len() % COLOURS.len()], one.case.who.contains("one by one"));
                lines.push(Line { name: one.case.who.into(), colour, dashed, points: vec![point] });
            }
        }
    }
    lines
}

/// Lines over a logarithmic count; the other axis is logarithmic or begins at 0.
fn lines_plot(file: &Path, title: &str, x: &str, y: &str, logarithmic: bool, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let least = |figures: &mut dyn Iterator<Item = f64>| figures.fold(f64::INFINITY, f64::min);
    let most = |figures: &mut dyn Iterator<Item = f64>| figures.fold(0.0, f64::max);
    let columns = least(&mut points().map(|point| point.0))..most(&mut points().map(|point| point.0)) * 1.05;
    let (low, high) = (least(&mut points().map(|point| point.1)), most(&mut points().map(|point| point.1)));
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).expect("a plot");
    let mut builder = ChartBuilder::on(&root);
    builder
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .margin_right(LEGEND)
        .x_label_area_size(40)
        .y_label_area_size(56);
    if logarithmic {
        let chart = builder.build_cartesian_2d(columns.log_scale(), (low * 0.8..high * 1.25).log_scale());
        lines_on(chart.expect("a plot"), x, y, lines);
    } else {
        let chart = builder.build_cartesian_2d(columns.log_scale(), 0.0..high * 1.1);
        lines_on(chart.expect("a plot"), x, y, lines);
    }
    root.present().expect("the plot is written");
}

fn lines_on<'a, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, Y>>,
    x: &str,
    y: &str,
    lines: &[Line],
) where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let whole = |count: &f64| format!("{count:.0}");
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x).y_desc(y).light_line_style(TRANSPARENT).x_label_formatter(&whole).draw().expect("a mesh");
    // Dashes over the lines, so that both are seen where they meet.
    for line in lines.iter().filter(|line| !line.dashed).chain(lines.iter().filter(|line| line.dashed)) {
        let style = line.colour.stroke_width(if line.dashed { 1 } else { 3 });
        let points = || line.points.iter().copied();
        let drawn = if line.dashed {
            chart.draw_series(DashedLineSeries::new(points(), 6, 5, style))
        } else {
            chart.draw_series(LineSeries::new(points(), style))
        };
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style);
        drawn.expect("a line").label(&line.name).legend(legend);
        chart.draw_series(points().map(|point| Circle::new(point, 3, line.colour.filled()))).expect("its points");
    }
    let right = chart.plotting_area().dim_in_pixel().0 as i32 + 8;
    let mut labels = chart.configure_series_labels();
    labels.position(SeriesLabelPosition::Coordinate(right, 0)).draw().expect("a legend");
}

/// A bar for each: low, median, high; the bar ends at the median, and a thin line goes from low to high.
fn bars_plot(file: &Path, title: &str, x: &str, bars: &[(String, [f64; 3])]) {
    let most = bars.iter().map(|(_, [.., high])| *high).fold(0.0, f64::max);
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE).expect("a plot");
    let mut builder = ChartBuilder::on(&root);
    builder.caption(title, ("sans-serif", 18)).margin(12).x_label_area_size(40).y_label_area_size(190);
    let rows = (0..bars.len() - 1).into_segmented();
    let mut chart = builder.build_cartesian_2d(0.0..most * 1.1, rows).expect("a plot");
    let name = |row: &SegmentValue<usize>| match row {
        SegmentValue::CenterOf(row) => bars[bars.len() - 1 - row].0.clone(),
        _ => String::new(),
    };
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(x).disable_y_mesh().light_line_style(TRANSPARENT).y_labels(bars.len()).y_label_formatter(&name);
    mesh.draw().expect("a mesh");
    for (row, (name, [low, median, high])) in bars.iter().rev().enumerate() {
        let colour = if name.ends_with("ours") { COLOURS[1] } else { COLOURS[0] };
        let corners = [(0.0, SegmentValue::Exact(row)), (*median, SegmentValue::Exact(row + 1))];
        let mut bar = Rectangle::new(corners, colour.filled());
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series([bar]).expect("a bar");
        let middle = || SegmentValue::CenterOf(row);
        chart.draw_series([PathElement::new([(*low, middle()), (*high, middle())], BLACK)]).expect("its spread");
        let figure = if *median < 10.0 { format!("{median:.2}") } else { format!("{median:.0}") };
        let place = (*high + most * 0.01, middle());
        chart.draw_series([Text::new(figure, place, ("sans-serif", 12))]).expect("its figure");
    }
    root.present().expect("the plot is written");
}
