//! Curves as SVG, in the folder of this bench.

use plotters::prelude::*;

const SIZE: (u32, u32) = (720, 360);
const COLOURS: [RGBColor; 2] = [RGBColor(0x1f, 0x6f, 0xb2), RGBColor(0xc2, 0x5a, 0x1c)];

/// What an event costs by the number of something.
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) what: &'a str,
    /// Each with its name, and pairs of a number and microseconds.
    pub(crate) lines: Vec<(&'a str, Vec<(f64, f64)>)>,
}

impl Curve<'_> {
    pub(crate) fn draw(&self) {
        let path = format!("{}/benches/scaling/{}.svg", env!("CARGO_MANIFEST_DIR"), self.name);
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let least = points().map(|(at, _)| *at).fold(f64::MAX, f64::min);
        let most = points().map(|(at, _)| *at).fold(0.0, f64::max);
        let highest = points().map(|(_, cost)| *cost).fold(0.0, f64::max);
        let root = SVGBackend::new(&path, SIZE).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let mut chart = ChartBuilder::on(&root)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((least * 0.8..most * 1.25).log_scale(), 0.0..highest * 1.15)
            .unwrap();
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.what)
            .y_desc("µs of processor time an event")
            .x_label_formatter(&|at| short(*at))
            .draw()
            .unwrap();
        for ((name, points), colour) in self.lines.iter().zip(COLOURS) {
            let line = chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2))).unwrap();
            if !name.is_empty() {
                line.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            }
            let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
            chart.draw_series(dots).unwrap();
        }
        if self.lines.len() > 1 {
            let labels = &mut chart.configure_series_labels();
            labels.position(SeriesLabelPosition::UpperLeft).background_style(WHITE.mix(0.8)).draw().unwrap();
        }
        root.present().unwrap();
    }
}

fn short(number: f64) -> String {
    match number {
        million if million >= 1e6 => format!("{} M", million / 1e6),
        thousand if thousand >= 1e3 => format!("{} k", thousand / 1e3),
        few => format!("{few}"),
    }
}
