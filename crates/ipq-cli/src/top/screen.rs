//! What is on the screen: [`draw`].

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Sparkline, Table};

use super::flows::{Flow, Order};
use super::meter::{Counts, to_float};
use super::state::Picture;

/// How the user wants to see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    pub(super) is_paused: bool,
    pub(super) order: Order,
    /// Whether colours are wanted.
    pub(super) is_coloured: bool,
}

/// The fewest lines that flows are worth showing in: a head and two of them.
const FEWEST_FLOWS: u16 = 3;

/// Draws a picture, as much of it as there is room for: the counts first, then the flows, then the plots.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, view: View) {
    let area = frame.area();
    let queues = queue_lines(picture);
    let queues_len = u16::try_from(queues.len()).unwrap_or(u16::MAX).min(area.height / 6);
    let counts = count_lines(picture, area);
    let counts_len = u16::try_from(counts.len()).unwrap_or(u16::MAX);
    let fixed = 2 + counts_len + queues_len;
    let plots_len = plots_len(area.height.saturating_sub(fixed));
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(counts_len),
        Constraint::Length(queues_len),
        Constraint::Length(plots_len),
        Constraint::Fill(1),
        Constraint::Length(1),
    ]);
    let [head, counts_area, queues_area, plots_area, flows_area, foot] = areas.areas(area);
    frame.render_widget(title(picture, view, area.width), head);
    frame.render_widget(Paragraph::new(counts), counts_area);
    frame.render_widget(Paragraph::new(queues), queues_area);
    plots(frame, picture, view, plots_area);
    if flows_area.height >= FEWEST_FLOWS {
        flows(frame, picture, view, flows_area);
    }
    frame.render_widget(footer(picture, view), foot);
}

/// How many of the lines that are left the plots get.
const fn plots_len(left: u16) -> u16 {
    match left {
        0..=6 => 0,
        7..=11 => 4,
        12..=23 => 8,
        _ => 14,
    }
}

fn title(picture: &Picture, view: View, width: u16) -> Line<'static> {
    let title = &picture.title;
    let state = match (view.is_paused, picture.has_ended) {
        (true, _) => " PAUSED",
        (false, true) => " ended",
        (false, false) => "",
    };
    let time = format!(" {}{state}", time(picture.now.as_secs()));
    let room = usize::from(width).saturating_sub(time.len());
    let name = format!("top {}  {}  {}", title.transport, title.copies, title.verdict);
    let name = cut(&name, room);
    Line::from(vec![Span::raw(format!("{name:room$}")), Span::raw(time)]).reversed()
}

/// The totals and rates, in as many lines as the width asks for. Where there is no room for all of them, what is lost and
/// what waits come before what is well.
fn count_lines(picture: &Picture, area: Rect) -> Vec<Line<'static>> {
    let total = picture.meter.total();
    let rate = |what: fn(&Counts) -> u64| short_float(picture.meter.rate(picture.now, what));
    let packets = format!("packets {} {}/s", short(total.packets), rate(|counts| counts.packets));
    let bytes = format!("bytes {} {}/s", short(total.bytes), rate(|counts| counts.bytes));
    let accepted = format!("accepted {}", short(total.accepted));
    let dropped = format!("dropped {} {}/s", short(total.dropped), rate(|counts| counts.dropped));
    let other = (total.other > 0).then(|| format!("other {}", short(total.other)));
    let waiting = if picture.is_blind { "?".to_owned() } else { short(total.waiting) };
    let waiting = format!("waiting {waiting}");
    let lost = format!("lost {}", short(total.lost));
    let width = usize::from(area.width);
    let usual = [&packets, &bytes, &accepted, &dropped].into_iter().chain(&other);
    let lines = wrapped(usual.chain([&waiting, &lost]), width);
    let room = usize::from(area.height.saturating_sub(2));
    if lines.len() <= room {
        return lines;
    }
    let urgent = [&packets, &lost, &waiting, &dropped, &accepted].into_iter().chain(&other);
    wrapped(urgent.chain([&bytes]), width)
}

/// As many of the parts in a line as fit.
fn wrapped<'p>(parts: impl Iterator<Item = &'p String>, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![String::new()];
    for part in parts {
        let fits = |line: &String| line.is_empty() || line.len() + 2 + part.len() <= width;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) if line.is_empty() => line.push_str(part),
            Some(line) => *line = format!("{line}  {part}"),
            None => lines.push(part.clone()),
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn queue_lines(picture: &Picture) -> Vec<Line<'static>> {
    let line = |queue: &super::state::QueueLine| {
        let (waiting, by_queue, by_buffer) =
            (short(queue.waiting), short(queue.by_queue), short(queue.by_buffer));
        let text = format!(
            "{}: {waiting} waiting, {by_queue} lost by a full queue, {by_buffer} by a full buffer",
            queue.name
        );
        Line::from(text)
    };
    picture.queues.iter().map(line).collect()
}

/// A plot: its name, its colour and what it shows.
type Plot = (&'static str, Color, fn(&Counts) -> u64);

/// The four plots, as many as fit.
fn plots(frame: &mut Frame<'_>, picture: &Picture, view: View, area: Rect) {
    const PLOTS: [[Plot; 2]; 2] = [
        [
            ("packets/s", Color::Cyan, |counts| counts.packets),
            ("waiting", Color::Yellow, |counts| counts.waiting),
        ],
        [
            ("accepted/s", Color::Green, |counts| counts.accepted),
            ("dropped+lost/s", Color::Red, |counts| counts.dropped + counts.lost),
        ],
    ];
    let n_rows: u16 = match area.height {
        0 => return,
        1..=4 => 1,
        _ => 2,
    };
    let rows = Layout::vertical((0..n_rows).map(|_| Constraint::Fill(1))).split(area);
    for (row, plots) in rows.iter().zip(PLOTS) {
        let halves: [Rect; 2] = Layout::horizontal([Constraint::Fill(1); 2]).spacing(1).areas(*row);
        for (half, plot) in halves.into_iter().zip(plots) {
            one_plot(frame, picture, view, plot, half);
        }
    }
}

fn one_plot(frame: &mut Frame<'_>, picture: &Picture, view: View, plot: Plot, area: Rect) {
    let (name, color, what) = plot;
    let history = picture.meter.history(picture.now, usize::from(area.width), what);
    let most = history.iter().copied().max().unwrap_or(0);
    let title = format!("{name} (most {})", short(most));
    let block = Block::new().borders(Borders::TOP).title(title);
    let style = if view.is_coloured { Style::new().fg(color) } else { Style::new() };
    let plot = Sparkline::default().data(&history).max(most.max(1)).style(style).block(block);
    frame.render_widget(plot, area);
}

fn flows(frame: &mut Frame<'_>, picture: &Picture, view: View, area: Rect) {
    let n = usize::from(area.height) - 2;
    let busiest = picture.flows.busiest(n, view.order);
    let all = match view.order {
        Order::Packets => picture.meter.total().packets,
        Order::Bytes => picture.meter.total().bytes,
    };
    let row = |flow: &Flow| {
        let (size, over) = match view.order {
            Order::Packets => (flow.packets, flow.most_over.0),
            Order::Bytes => (flow.bytes, flow.most_over.1),
        };
        let about = if flow.most_over.0 > 0 { "<=" } else { "" };
        let number = |number| format!("{:>8}", format!("{about}{}", short(number)));
        let least = to_float(size.saturating_sub(over)) / to_float(all.max(1)) * 100.0;
        Row::new([
            flow.key.to_string(),
            number(flow.packets),
            number(flow.bytes),
            format!("{least:>5.1}%"),
        ])
    };
    let widths =
        [Constraint::Fill(1), Constraint::Length(8), Constraint::Length(8), Constraint::Length(6)];
    let head =
        Row::new([flows_title(picture), " packets".into(), "   bytes".into(), " share".into()]);
    let table = Table::new(busiest.iter().map(row), widths)
        .header(head.style(Style::new().bold()))
        .block(Block::new().borders(Borders::TOP));
    frame.render_widget(table, area);
}

/// What the flows are, and what is not among them.
fn flows_title(picture: &Picture) -> String {
    let flows = &picture.flows;
    let mut title = format!("busiest of {} flows", flows.len());
    if flows.replaced > 0 {
        title = format!("{title}, {} forgotten", short(flows.replaced));
    }
    if flows.unknown > 0 {
        title = format!("{title}, {} unknown", short(flows.unknown));
    }
    title
}

fn footer(picture: &Picture, view: View) -> Line<'static> {
    let order = match view.order {
        Order::Packets => "bytes",
        Order::Bytes => "packets",
    };
    let pause = if view.is_paused { "go on" } else { "pause" };
    let mut spans = vec![
        "q".bold(),
        Span::raw(" quit  "),
        "p".bold(),
        Span::raw(format!(" {pause}  ")),
        "s".bold(),
        Span::raw(format!(" by {order}")),
    ];
    if picture.errors > 0 {
        spans.push(Span::raw(format!("  errors {}", short(picture.errors))));
    }
    if picture.is_blind {
        spans.push(Span::raw("  only root may see what waits"));
    }
    if let Some(trouble) = &picture.trouble {
        let trouble: String = trouble.chars().filter(|letter| !letter.is_control()).collect();
        spans.push(Span::raw(format!("  {trouble}")));
    }
    Line::from(spans)
}

/// `1:02:03`, or `02:03`.
fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes:02}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A count in at most five letters: `9999`, `12.3k`, `4.5G`.
fn short(count: u64) -> String {
    if count < 10_000 { count.to_string() } else { short_float(to_float(count)) }
}

fn short_float(number: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (mut number, mut unit) = (number, 0);
    // 999.95 would be printed as 1000.0.
    while number >= 999.95 && unit < UNITS.len() - 1 {
        number /= 1000.0;
        unit += 1;
    }
    match (unit, number.fract() == 0.0) {
        (0, true) => format!("{number:.0}"),
        _ => format!("{number:.1}{}", UNITS[unit]),
    }
}

/// The first letters of a text, as many as there is room for.
fn cut(text: &str, room: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts =
            [0, 7, 9999, 10_000, 123_456, 999_949, 999_950, 1_500_000_000, u64::MAX].map(short);
        let expected = ["0", "7", "9999", "10.0k", "123.5k", "999.9k", "1.0M", "1.5G", "18.4E"];
        assert_eq!(texts, expected);
        assert_eq!([0.0, 0.25, 12.0, 2048.0].map(short_float), ["0", "0.2", "12", "2.0k"]);
        assert_eq!([59, 61, 3661].map(time), ["00:59", "01:01", "1:01:01"]);
    }
}
