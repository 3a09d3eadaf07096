use super::*;
use crate::migrate::About;

const ABOUT: About<'_> = About {
    domain: "g",
    uuid: String::new(),
    target: "h2",
    at_unix_s: 5,
    sender_share: None,
    predicted: None,
    kept: None,
};

fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

/// A save from 100.0 on whose hook starts its clock at 100.1.
fn timeline() -> Timeline {
    let mut timeline = Timeline::default();
    timeline.stage(Stage::Sending, 100.0);
    for json in [
        r#"{"event":"begin","monotonic_s":100.1,"populated_pages":1000,"p2m_pages":1500}"#,
        r#"{"event":"send","t":0.1,"round":0,"pages":1000}"#,
        r#"{"event":"sent","t":2.1,"round":0,"pages":1000,"bytes":4108016,"s":2.0,"pending":200}"#,
        r#"{"event":"decision","t":2.1,"pending":200,"decision":"continue","why":"shrinks","downtime_s":1.0,"bandwidth_bytes_per_s":2e6}"#,
        r#"{"event":"send","t":2.2,"round":1,"pages":200}"#,
        r#"{"event":"sent","t":2.6,"round":1,"pages":200,"bytes":820816,"s":0.4,"pending":50}"#,
        r#"{"event":"decision","t":3.6,"pending":30,"decision":"stop_and_copy","why":"keeps_budget","downtime_s":0.2,"bandwidth_bytes_per_s":2e6}"#,
        r#"{"event":"suspending","t":3.6}"#,
        r#"{"event":"suspended","t":3.7}"#,
        r#"{"event":"last","t":3.75,"pages":40}"#,
        r#"{"event":"end","t":3.9,"result":0}"#,
    ] {
        timeline.hook(&event(json));
    }
    timeline.stage(Stage::Waiting, 104.1);
    timeline.stage(Stage::HandedOver, 104.3);
    timeline.stage(Stage::Arrived, 104.5);
    timeline
}

fn close(a: Option<f64>, b: f64) {
    assert!(a.is_some_and(|a| (a - b).abs() < 1e-9), "{a:?} is not {b}");
}

#[test]
fn downtime_is_the_sum_of_its_parts() {
    let costs = timeline().costs();
    close(costs.total_s, 4.5);
    close(costs.downtime_s, 0.7);
    close(costs.suspend_s, 0.1);
    close(costs.last_copy_s, 0.2);
    close(costs.transport_s, 0.3);
    close(costs.resume_s, 0.2);
    assert_eq!(costs.bytes, Some(4_108_016 + 820_816 + 40 * 4104 + 16));
    assert_eq!(costs.why_stopped, Some(Why::KeepsBudget));
}

#[test]
fn the_record_has_rounds_from_clean_to_end() {
    let record = timeline().costs().record(ABOUT).unwrap();
    assert_eq!((record.populated_pages, record.p2m_pages), (1000, 1500));
    close(Some(record.start_s), 0.2);
    assert_eq!(record.rounds.iter().map(|r| r.holes).collect::<Vec<_>>(), [500, 0]);
    close(Some(record.rounds[0].s), 2.0);
    close(Some(record.rounds[1].s), 0.5);
    // The second that the controller waited is no part of the request.
    close(Some(record.suspend_request_s), 0.1);
    close(record.last.map(|last| last.s), 0.2);
    close(Some(record.finish_s), 0.5);
}

#[test]
fn without_a_hook_there_are_times_but_no_record() {
    let mut timeline = Timeline::default();
    for (stage, at) in [
        (Stage::Sending, 1.0),
        (Stage::Suspended, 3.0),
        (Stage::Waiting, 3.5),
        (Stage::HandedOver, 3.6),
        (Stage::Arrived, 4.0),
    ] {
        timeline.stage(stage, at);
    }
    let costs = timeline.costs();
    close(costs.total_s, 3.0);
    close(costs.downtime_s, 1.0);
    close(costs.last_copy_s, 0.5);
    assert_eq!((costs.bytes, costs.record(ABOUT)), (None, None));
}

#[test]
fn what_was_not_seen_is_not_made_up() {
    let costs = Timeline::default().costs();
    assert_eq!((costs.total_s, costs.downtime_s, costs.last), (None, None, None));
}
