//! `xl migrate` started while xenmig samples, at moments all over the window, its edges above all.
//! Every migration must succeed and every guest must be intact, whoever came first.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::scene::{Ran, Scene, XENMIG};

/// Length of the window.
const WINDOW: Duration = Duration::from_secs(2);

/// The edge: how long before and after the planned moment of the log's switching on either may come
/// first. Each delays the other by some 100 ms of the only processor's time.
const EDGE: (f64, f64) = (-0.25, 0.05);

#[test]
fn a_migration_at_any_moment_of_the_window_leaves_the_guest_intact() {
    let Some(scene) = Scene::new() else { return };
    scene.guest("g1", "hot:2000,2000");
    let timing = Timing::measure(&scene);
    let races = if std::env::var_os("QUICK").is_some() { 6 } else { 16 };
    let mut met = 0;
    for (nth, moment) in moments(races).into_iter().enumerate() {
        let (sampler, migration) = timing.delays(moment);
        let race = Race::run(&scene, WINDOW, sampler, migration);
        println!("race {nth}: save {:+.1} ms after the log: {race}", moment * 1e3);
        scene.intact("g1");
        scene.no_notes();
        met += usize::from(race.outcome == Outcome::Met);
    }
    println!("{met} of {races} saves began inside the window");
    assert!(met * 2 > races, "only {met} of {races} met a sampler");
    scene.log_is_off("g1");
}

/// When the save is to begin, in seconds after the log is switched on: a third of them about that
/// moment itself, the others all over the window. Repeatable.
fn moments(races: usize) -> Vec<f64> {
    let edge = races / 3;
    let mut state = 0x9e37_79b9_u32;
    let mut random = || {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        f64::from(state) / f64::from(u32::MAX)
    };
    let mut spread = |from: f64, to: f64, nth: usize, of: usize| {
        from + (to - from) * (nth as f64 + random()) / of as f64
    };
    (0..races)
        .map(|nth| match nth.checked_sub(edge) {
            None => spread(EDGE.0, EDGE.1, nth, edge),
            Some(nth) => spread(0.0, WINDOW.as_secs_f64(), nth, races - edge),
        })
        .collect()
}

/// How long the two programs take to come to the point, in seconds.
struct Timing {
    /// From the start of the sampler until the log is on.
    sampler: f64,
    /// From the start of `xl migrate` until the save begins.
    migration: f64,
}

impl Timing {
    fn measure(scene: &Scene) -> Self {
        let script = r#"
            begin=$(date +%s%N)
            "$1" sample g1 --window 500ms --windows 1 >/dev/null &
            until [ -s /run/xenmig/domain-* ]; do sleep 0.005; done
            echo $(($(date +%s%N) - begin))
            wait"#;
        let ns = scene.host.shell(script, &[XENMIG]).unwrap().stdout();
        let race = Race::run(scene, Duration::from_secs(60), 0.0, 1.0);
        assert_eq!(race.outcome, Outcome::Met, "{race}");
        let timing =
            Self { sampler: ns.trim().parse::<f64>().unwrap() * 1e-9, migration: race.save };
        println!(
            "the log is on {:.1} ms after the sampler's start, a save begins {:.1} ms after xl's",
            timing.sampler * 1e3,
            timing.migration * 1e3
        );
        timing
    }

    /// How long to wait before each is started.
    fn delays(&self, moment: f64) -> (f64, f64) {
        let ahead = self.migration - self.sampler - moment;
        (ahead.max(0.0), (-ahead).max(0.0))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The save began between two windows, with the log off, and ended the sample.
    Between,
    /// The save began during the sample and ended it.
    Met,
    /// The sample was over first.
    TooLate,
    /// The save began first, and nothing was sampled.
    Refused,
}

/// One sampler and one migration.
struct Race {
    outcome: Outcome,
    /// Seconds from the start of `xl migrate` until the sampler said something of it; 0 if it did
    /// not.
    save: f64,
}

impl Race {
    /// Starts both after so many seconds, and waits for both.
    #[track_caller]
    fn run(scene: &Scene, window: Duration, sampler: f64, migration: f64) -> Self {
        let script = r#"
            cd "$(mktemp -d)"
            {
                sleep "$3"
                "$1" -v sample g1 --window "$2" --windows 1 --json 2>&1 >sample
                echo "status $?"
            } | while read -r line; do echo "$(date +%s%N) $line"; done >said &
            sleep "$4"
            begin=$(date +%s%N)
            xl migrate -s 'xenlab-receive 0' g1 localhost >xl 2>&1 || { cat xl; exit 1; }
            wait
            sed -n "1s/ .*//p" said | { read -r heard; echo $((heard - begin)); }
            cat sample
            cat said >&2"#;
        let window = format!("{}ms", window.as_millis());
        let waits = [sampler, migration].map(|wait| format!("{wait:.4}"));
        let arguments = ["sh", "-c", script, "race", XENMIG, &window, &waits[0], &waits[1]];
        let ran = scene.run(&arguments);
        assert_eq!(ran.status, 0, "the migration failed: {}", ran.all());
        Self::read(&ran)
    }

    #[track_caller]
    fn read(ran: &Ran) -> Self {
        let (ns, sample) = ran.stdout.split_once('\n').unwrap();
        let ended = serde_json::from_str::<Value>(sample).map(|sample| sample["ended"].clone());
        let said = |words| ran.stderr.contains(words);
        let outcome = match ended.ok().as_ref().and_then(Value::as_str) {
            Some("save_began") if said(" its dirty log was let go") && said(" status 0") => {
                Outcome::Met
            }
            Some("save_began") if said(" status 0") => Outcome::Between,
            Some("complete") if said(" status 0") => Outcome::TooLate,
            None if said("is being saved by process") && said(" status 70") => Outcome::Refused,
            _ => panic!("an unexpected answer: {}", ran.all()),
        };
        let heard = ns.parse::<f64>().unwrap() * 1e-9;
        Self { outcome, save: if outcome == Outcome::TooLate { 0.0 } else { heard } }
    }
}

impl fmt::Display for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::TooLate => write!(f, "the sample was over first"),
            outcome => write!(f, "{outcome:?}, {:.1} ms after xl's start", self.save * 1e3),
        }
    }
}
