//! The thread that draws and listens to keys: [`Viewer`].

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{self, IsTerminal};
use std::panic;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::flows::Order;
use super::screen::{self, View};
use super::state::{Picture, Shared};

/// How often the screen is drawn at most.
const FRAME: Duration = Duration::from_millis(100);

/// How long to wait for a terminal that takes nothing, when all else is done.
const PATIENCE: Duration = Duration::from_secs(1);

/// The view, while it is open. The terminal is as it was when this is gone, however that comes about.
#[derive(Debug)]
pub(super) struct Viewer {
    shared: Arc<Shared>,
    /// Says how the thread ended.
    outcome: Receiver<io::Result<()>>,
    is_over: bool,
}

/// Whether there is a terminal to draw on.
pub(super) fn has_terminal() -> bool {
    io::stdout().is_terminal()
}

impl Viewer {
    /// Takes the terminal over and starts to draw.
    pub(super) fn open(shared: Arc<Shared>) -> io::Result<Self> {
        restore_before_panics(Arc::clone(&shared));
        let terminal = start()?;
        let (sender, outcome) = channel();
        let viewer = Self { shared: Arc::clone(&shared), outcome, is_over: false };
        thread::Builder::new().name("view".to_owned()).spawn(move || {
            let outcome = watch(terminal, &shared);
            // Without a view there is nothing to watch.
            shared.quit();
            // Where nobody listens, the program has ended.
            let _ = sender.send(outcome);
        })?;
        Ok(viewer)
    }

    /// Waits until the user or a signal wants the end.
    pub(super) fn until_quit(mut self) -> io::Result<()> {
        self.is_over = true;
        self.outcome.recv().unwrap_or_else(|_| Err(panicked()))
    }

    /// Closes the view; says how it ended. A terminal that takes nothing is left alone after a while.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.is_over = true;
        self.shared.close();
        match self.outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(panicked()),
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if !self.is_over {
            // What ended it before its time is told; that the view had trouble too would not help.
            let _ = self.end();
        }
    }
}

/// The thread has ended without a word, which it said to the panic hook.
fn panicked() -> io::Error {
    io::Error::other("the view ended by a panic: please report it")
}

/// Held while something is drawn, so that nothing is drawn on a screen that was given back.
static DRAWING: Mutex<()> = Mutex::new(());

/// Whether the terminal is ours.
static IS_OURS: AtomicBool = AtomicBool::new(false);

fn start() -> io::Result<DefaultTerminal> {
    IS_OURS.store(true, Ordering::Relaxed);
    ratatui::try_init().inspect_err(|_| restore())
}

/// Gives the terminal back, once.
fn restore() {
    if IS_OURS.swap(false, Ordering::Relaxed) {
        ratatui::restore();
    }
}

/// Sees to it that what a panic has to say is said on a screen where it stays.
fn restore_before_panics(shared: Arc<Shared>) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        shared.close();
        shared.quit();
        let give_up = Instant::now() + FRAME;
        // If it is the drawing that panics, the lock does not come free.
        while DRAWING.try_lock().is_err() && Instant::now() < give_up {
            thread::yield_now();
        }
        restore();
        before(panic);
    }));
}

/// Draws, and does what the keys say, until the end.
fn watch(mut terminal: DefaultTerminal, shared: &Shared) -> io::Result<()> {
    let outcome = draw_until_quit(&mut terminal, shared);
    restore();
    outcome
}

fn draw_until_quit(terminal: &mut DefaultTerminal, shared: &Shared) -> io::Result<()> {
    let is_coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut view = View { is_coloured, ..View::default() };
    let mut picture: Option<Picture> = None;
    let mut next = Instant::now();
    while !shared.is_closing() && !shared.has_quit() {
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    press(key, &mut view, shared);
                }
                _ => (),
            }
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + FRAME;
        if !view.is_paused || picture.is_none() {
            picture = Some(shared.with(|state| state.picture()));
        }
        let _drawing = DRAWING.lock();
        if let (Some(picture), true) = (&picture, IS_OURS.load(Ordering::Relaxed)) {
            terminal.draw(|frame| screen::draw(frame, picture, view))?;
        }
    }
    Ok(())
}

fn press(key: KeyEvent, view: &mut View, shared: &Shared) {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => shared.quit(),
        KeyCode::Char('c') if has_control => shared.quit(),
        KeyCode::Char('p') => view.is_paused = !view.is_paused,
        KeyCode::Char('s') => {
            view.order = match view.order {
                Order::Packets => Order::Bytes,
                Order::Bytes => Order::Packets,
            };
        }
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::top::pace::Pace;
    use crate::top::state::{State, Title};

    /// Names the test that a child runs.
    const INSIDE: &str = "IPQ_CLI_VIEW_TEST_INSIDE";

    #[test]
    fn what_a_panic_says_is_said_on_the_screen_that_was_there_before() {
        let test =
            "top::viewer::tests::what_a_panic_says_is_said_on_the_screen_that_was_there_before";
        if std::env::var_os(INSIDE).is_some() {
            let shared = Arc::new(Shared::new(State::new(Title::default(), Pace::real())));
            let _viewer = Viewer::open(shared).unwrap();
            panic!("of the thread with the packets");
        }
        let program = std::env::current_exe().unwrap();
        let inside = format!("stty -g; {} --exact {test} --nocapture; stty -g", program.display());
        let mut command = Command::new("script");
        command.args(["-qec", &inside, "/dev/null"]).env(INSIDE, "1").env("TERM", "xterm");
        let output = match command.stdin(Stdio::piped()).output() {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => return eprintln!("skipped: {test}: script: {error}"),
        };
        let place = |text| output.find(text).unwrap_or_else(|| panic!("no {text:?} in {output:?}"));
        assert!(place("\x1b[?1049h") < place("\x1b[?1049l"), "{output:?}");
        assert!(place("\x1b[?1049l") < place("of the thread with the packets"), "{output:?}");
        let (before, after) = (output.lines().next(), output.lines().last());
        assert_eq!(before, after, "the terminal is not as it was: {output:?}");
    }
}
