//! `xenmig record` as a service on a simulated host.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::Place;

/// A service that runs in real time, and the address of its metrics.
pub struct Service {
    child: Child,
    pub address: String,
}

impl Service {
    /// On the host of `scene`, with `log.sqlite` in `place`.
    pub fn start(place: &Place, scene: &str) -> Self {
        let scene = format!("real_time = true\n{scene}");
        std::fs::write(place.path("scene.toml"), scene).unwrap();
        let more = ["log.sqlite", "--listen", "127.0.0.1:0", "-v", "--interval", "200ms"];
        let words = ["--host", "sim:scene.toml", "record", "--window", "20ms", "--store"];
        let words = [&words[..], &more].concat();
        let mut command = place.command(&words);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("metrics are at http://")?;
            Some(rest.trim_end_matches("/metrics").to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.unwrap() }
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The answer to a scrape, once three domains were sampled.
    pub fn metrics(&self) -> String {
        let begun = Instant::now();
        loop {
            let answer = self.get("/metrics");
            let sampled = answer.matches("xenmig_domain_vcpus{").count() >= 3;
            if sampled && answer.contains("xenmig_host_cpus ") {
                return answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it by SIGTERM; its exit status.
    pub fn end(mut self) -> i32 {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
