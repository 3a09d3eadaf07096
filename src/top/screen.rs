//! Both threads put together: one watches the host, this one draws and hears the keys.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use xenmig::{Error, Kind, Result};

use super::draw::draw;
use super::terminal::Screen;
use super::view::View;
use super::{Asked, Controls, Update, worker};
use crate::cli::Global;
use crate::output::Style;

/// How soon a signal is noticed, or that the other thread has ended.
const NOTICE: Duration = Duration::from_millis(50);

/// What this thread hears.
enum Heard {
    Update(Update),
    Terminal(Event),
}

type Worker<'scope> = ScopedJoinHandle<'scope, Result<()>>;

/// Draws until the user quits; says whether it was by a signal. The dirty log is off then, and the
/// terminal as it was.
pub fn run(global: &Global, asked: &Asked<'_>) -> Result<bool> {
    let controls = &Controls::default();
    thread::scope(|scope| {
        let _stop = StopOnDrop(&controls.stop);
        let (say, heard) = channel();
        let tell = say.clone();
        let worker = scope.spawn(move || {
            let mut tell = |update| Ok(tell.send(Heard::Update(update)).is_ok());
            worker::work(global, asked, controls, &mut tell)
        });
        let shown = show(&heard, say, &worker, controls, View::new(asked.interval));
        let signalled = controls.stop.swap(true, Ordering::Relaxed);
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        shown
            .map_err(|cause| Error::new(Kind::Io, "cannot draw on the terminal").because(cause))?;
        Ok(signalled)
    })
}

/// However this thread ends, the other one does, too.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn show(
    heard: &Receiver<Heard>,
    say: Sender<Heard>,
    worker: &Worker<'_>,
    controls: &Controls,
    mut view: View,
) -> io::Result<()> {
    let over = || worker.is_finished() || controls.stop.load(Ordering::Relaxed);
    // Until the host is open, the screen is the user's: for errors, and for what is cleaned up.
    loop {
        match heard.recv_timeout(NOTICE) {
            Ok(Heard::Update(Update::Ready)) => break,
            Ok(_) => {}
            Err(_) if over() => return Ok(()),
            Err(_) => {}
        }
    }
    let style = Style::stdout();
    let mut screen = Screen::open()?;
    listen(say);
    while !over() {
        screen.draw(|frame| draw(frame, &view, style))?;
        let first = loop {
            match heard.recv_timeout(NOTICE) {
                Ok(first) => break first,
                Err(RecvTimeoutError::Timeout) if !over() => {}
                Err(_) => return Ok(()),
            }
        };
        for heard in std::iter::once(first).chain(heard.try_iter()) {
            match heard {
                Heard::Update(update) => view.update(update),
                Heard::Terminal(Event::Key(key)) if !view.key(key) => return Ok(()),
                // A new size needs nothing but to draw again.
                Heard::Terminal(_) => {}
            }
        }
        controls.paused.store(view.paused, Ordering::Relaxed);
    }
    Ok(())
}

/// Passes the keys on, in a thread that ends with the program: reading from a terminal that has gone
/// away may never return.
fn listen(say: Sender<Heard>) {
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if say.send(Heard::Terminal(event)).is_err() {
                break;
            }
        }
    });
}
