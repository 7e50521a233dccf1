//! The plots.

use std::path::Path;

use plotters::{
    element::DashedPathElement,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{counts::Counts, ratios::Measured};

const WIDTH: u32 = 760;

/// The colours of the lines, and of bars: others, ours.
const COLOURS: [RGBColor; 3] = [RGBColor(31, 119, 180), RGBColor(255, 127, 14), RGBColor(44, 160, 44)];

/// A line: its name, of which size, its colour, whether it is dashed, and its points.
struct Line {
    name: String,
    size: f64,
    colour: RGBColor,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// A bar: its name, its figure, and the quartiles around it.
struct Bar {
    name: String,
    figure: f64,
    quartiles: Option<(f64, f64)>,
}

/// Draws all of them into this folder.
///
/// # Panics
///
/// If a file cannot be written.
pub(super) fn draw(folder: &Path, counts: &Counts, measured: &[Measured]) {
    for (question, title) in [("gather", "Gathering one datagram"), ("scatter", "Scattering one datagram")] {
        let title = format!("{title}: throughput, sent and received");
        lines_plot(&folder.join(question).with_extension("svg"), &title, &throughput(measured, question));
    }

    let count = |counted: &crate::counts::Counted| {
        Some(Bar { name: name(&counted.case), figure: counted.instructions?, quartiles: None })
    };
    let message = |question: &str| question == "one_message";
    let bars = counts.cases.iter().filter(|counted| message(counted.case.question)).filter_map(count).collect();
    let title = "One UDP datagram, sent and received";
    bars_plot(&folder.join("message-instructions.svg"), title, "user-space instructions", bars);

    let time = |question: &'static str, wanted: fn(&str) -> bool| {
        let of = measured.iter().filter(move |one| one.case.question == question && wanted(&one.case.shape));
        of.map(|one| {
            let ratio = one.noise.unwrap_or(one.ratio);
            Bar { name: name(&one.case), figure: ratio.median, quartiles: Some((ratio.low, ratio.high)) }
        })
        .collect::<Vec<_>>()
    };
    bars_plot(&folder.join("message-time.svg"), title, "time, libc = 1", time("one_message", |_| true));
    let batches = time("batch", |shape| shape.starts_with("32 "));
    let title = "Batches of 32 datagrams of 64 B, sent and received";
    bars_plot(&folder.join("batch.svg"), title, "time, libc one by one = 1", batches);

    let of = |one: &&Measured| {
        one.case.question == "offload" && ["32 ", "8 messages"].iter().any(|shape| one.case.shape.starts_with(shape))
    };
    let rate = |one: &Measured| Bar {
        name: name(&one.case),
        figure: one.case.bytes as f64 / one.nanoseconds,
        quartiles: None,
    };
    let title = "Segments of 1,200 B (GSO and GRO), sent and received";
    bars_plot(&folder.join("offload.svg"), title, "GB/s", measured.iter().filter(of).map(rate).collect());
}

fn name(case: &crate::questions::Case) -> String {
    format!("{}: {}", case.shape, case.who)
}

/// Gigabytes per second over slices, for each size, ours and C.
fn throughput(measured: &[Measured], question: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for one in measured.iter().filter(|one| one.case.question == question && ["libc", "ours"].contains(&one.case.who)) {
        // `4096 B in 16`
        let numbers: Vec<f64> = one.case.shape.split(' ').filter_map(|word| word.parse().ok()).collect();
        let dashed = one.case.who == "libc";
        let size = numbers[0];
        let point = (numbers[1], one.case.bytes as f64 / one.nanoseconds);
        match lines.iter_mut().find(|line| line.size == size && line.dashed == dashed) {
            Some(line) => line.points.push(point),
            None => {
                let name = if dashed { "C, each size".into() } else { format!("{size} B, ours") };
                let colour = if dashed { BLACK } else { COLOURS[lines.len() / 2] };
                lines.push(Line { name, size, colour, dashed, points: vec![point] });
            }
        }
    }
    lines
}

/// Lines over the number of slices; both axes are logarithmic.
fn lines_plot(file: &Path, title: &str, lines: &[Line]) {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = points().map(|point| point.1).fold(0.0, f64::max);
    // As far from each other as they were measured, each four times the last: the axis is logarithmic.
    let columns = 0..lines[0].points.len() - 1;
    let root = SVGBackend::new(file, (WIDTH, 400)).into_drawing_area();
    root.fill(&WHITE).expect("a plot");
    let (plot, legend) = root.split_horizontally(WIDTH - 140);
    let mut builder = ChartBuilder::on(&plot);
    builder.caption(title, ("sans-serif", 18)).margin(12).x_label_area_size(40).y_label_area_size(60);
    let mut chart = builder.build_cartesian_2d(columns, (low * 0.7..high * 1.5).log_scale()).expect("a plot");
    let count = |column: &usize| format!("{:.0}", lines[0].points[*column].0);
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(lines[0].points.len())
        .x_desc("slices")
        .y_desc("GB/s")
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&count);
    mesh.label_style(("sans-serif", 13)).draw().expect("a mesh");
    // Dashes over the lines, so that both are seen where they meet.
    for line in lines.iter().filter(|line| !line.dashed).chain(lines.iter().filter(|line| line.dashed)) {
        let points = || line.points.iter().map(|point| point.1).enumerate();
        let drawn = if line.dashed {
            chart.draw_series(DashedLineSeries::new(points(), 6, 5, style(line)))
        } else {
            chart.draw_series(LineSeries::new(points(), style(line)))
        };
        drawn.expect("a line");
        chart.draw_series(points().map(|point| Circle::new(point, 3, line.colour.filled()))).expect("its points");
    }

    let (solid, dashed): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| !line.dashed);
    // From the top down, as the lines lie; all that is dashed looks the same.
    for (line, y) in solid.into_iter().rev().chain(dashed.into_iter().take(1)).zip((60..).step_by(22)) {
        let ends = [(0, y), (26, y)];
        if line.dashed {
            legend.draw(&DashedPathElement::new(ends, 6, 4, style(line))).expect("a key");
        } else {
            legend.draw(&PathElement::new(ends, style(line))).expect("a key");
        }
        let anchor = ("sans-serif", 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        legend.draw(&Text::new(line.name.as_str(), (34, y), anchor)).expect("its name");
    }
    root.present().expect("the plot is written");
}

fn style(line: &Line) -> ShapeStyle {
    line.colour.stroke_width(if line.dashed { 1 } else { 4 })
}

/// A bar for each, with a thin line from quartile to quartile; a gap between shapes.
fn bars_plot(file: &Path, title: &str, x: &str, bars: Vec<Bar>) {
    // Quartiles that are far off are cut: they are others' work on this machine.
    let most = 1.15 * bars.iter().map(|bar| bar.figure).fold(0.0, f64::max);
    let shape = |bar: &Bar| bar.name.split(':').next().map(str::to_owned);
    let mut rows: Vec<Option<Bar>> = Vec::new();
    for bar in bars {
        if rows.last().and_then(Option::as_ref).is_some_and(|last| shape(last) != shape(&bar)) {
            rows.push(None);
        }
        rows.push(Some(bar));
    }
    rows.reverse();
    let root = SVGBackend::new(file, (WIDTH, 90 + 24 * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE).expect("a plot");
    let mut builder = ChartBuilder::on(&root);
    builder.caption(title, ("sans-serif", 18)).margin(12).margin_right(24).x_label_area_size(40).y_label_area_size(270);
    let range = (0..rows.len() - 1).into_segmented();
    let mut chart = builder.build_cartesian_2d(0.0..most, range).expect("a plot");
    let name = |row: &SegmentValue<usize>| match row {
        SegmentValue::CenterOf(row) => rows[*row].as_ref().map_or(String::new(), |bar| bar.name.clone()),
        _ => String::new(),
    };
    let figure = |figure: &f64| if most < 10.0 { format!("{figure:.1}") } else { format!("{figure:.0}") };
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(8)
        .x_label_formatter(&figure)
        .x_desc(x)
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(rows.len())
        .y_label_formatter(&name);
    mesh.label_style(("sans-serif", 13)).draw().expect("a mesh");
    for (row, bar) in rows.iter().enumerate() {
        let Some(Bar { name, figure, quartiles }) = bar else { continue };
        let ours = name.split(": ").nth(1).is_some_and(|who| who.starts_with("ours"));
        let corners = [(0.0, SegmentValue::Exact(row)), (*figure, SegmentValue::Exact(row + 1))];
        let mut drawn = Rectangle::new(corners, COLOURS[usize::from(ours)].filled());
        drawn.set_margin(4, 4, 0, 0);
        chart.draw_series([drawn]).expect("a bar");
        let middle = || SegmentValue::CenterOf(row);
        if let Some((low, high)) = quartiles {
            chart
                .draw_series([PathElement::new([(*low, middle()), (high.min(most), middle())], BLACK)])
                .expect("its spread");
        }
        let text = if *figure < 10.0 { format!("{figure:.2}") } else { format!("{figure:.0}") };
        let end = quartiles.map_or(*figure, |(_, high)| high.clamp(*figure, most * 0.92));
        let style = ("sans-serif", 13).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series([Text::new(text, (end + most * 0.01, middle()), style)]).expect("its figure");
    }
    root.present().expect("the plot is written");
}
