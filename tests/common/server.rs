//! Debian's Prometheus and its tool.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::Place;

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two programs.
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// `None`, and said so, where nobody has said where they are.
    pub fn find() -> Option<Self> {
        let directory = std::env::var_os("PROMETHEUS_DIR").map(PathBuf::from);
        if directory.is_none() {
            eprintln!("skipped: PROMETHEUS_DIR is not set; run scripts/test-prometheus");
        }
        directory.map(|directory| Self { directory })
    }

    /// Runs promtool in `place`.
    pub fn promtool(&self, place: &Place, words: &[&str], input: &str) -> Output {
        let mut command = Command::new(self.directory.join("promtool"));
        command.args(words).current_dir(place.path(".")).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Starts a server that scrapes `targets` every second and keeps what it sees in `data`.
    pub fn serve(self, place: &Place, targets: &[&str]) -> Server {
        let targets = serde_json::to_string(targets).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: xenmig\n    \
             static_configs: [ {{ targets: {targets} }} ]\n"
        );
        std::fs::write(place.path("prometheus.yml"), config).unwrap();
        // Free when it was asked for; nothing else here listens.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(self.directory.join("prometheus"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--storage.tsdb.retention.time=10y", "--log.level=warn"])
            .arg(format!("--web.listen-address={free}"))
            .current_dir(place.path("."))
            .spawn()
            .unwrap();
        Server { child, programs: self, url: format!("http://{free}") }
    }
}

/// A running server. Ended when dropped.
pub struct Server {
    child: Child,
    programs: Programs,
    pub url: String,
}

impl Server {
    /// What it answers to `expression`; an error text where it cannot.
    pub fn query(&self, place: &Place, expression: &str) -> Result<serde_json::Value, String> {
        let words = ["query", "instant", "-o", "json", &self.url, expression];
        let ran = self.programs.promtool(place, &words, "");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !ran.status.success() {
            return Err(text(&ran.stderr) + &text(&ran.stdout));
        }
        serde_json::from_slice(&ran.stdout)
            .map_err(|error| format!("{error}: {}", text(&ran.stdout)))
    }

    /// Waits until `expression` has at least `count` series.
    pub fn wait_for(&self, place: &Place, expression: &str, count: usize) {
        let begun = Instant::now();
        loop {
            let answer = self.query(place, expression);
            if answer.as_ref().is_ok_and(|a| a.as_array().is_some_and(|all| all.len() >= count)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{expression}: {answer:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing that it keeps is needed any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
