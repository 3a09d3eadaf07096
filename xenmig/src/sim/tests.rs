//! What the simulated host promises: W(t) as the workload says, bit for bit the same each time,
//! faults when they are due, and a dirty log that is off whenever nobody samples.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::SimHost;
use crate::dirty::{Bitmap, Ended, Plan, Sample, sample};
use crate::error::Kind;
use crate::host::{DomId, Health, Host, Recovery, Transfer, Wake};
use crate::units::Pages;

const ID: DomId = DomId(1);
static RUN: AtomicBool = AtomicBool::new(false);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A host with one domain of 1 GiB.
fn host(more: &str) -> SimHost {
    let guest = "[[domain]]\nname = 'guest'\nmemory = '1GiB'\nvcpus = 2\n";
    SimHost::from_toml(&format!("{guest}{more}"), "test").unwrap()
}

fn workload(keys: &str) -> SimHost {
    host(&format!("[[domain.workload]]\n{keys}"))
}

/// W at some moments of a window that begins when the host has been up for `up`.
fn curve(host: &SimHost, up: f64, moments: &[f64]) -> Vec<u64> {
    assert!(host.pause(seconds(up), &RUN));
    let mut log = host.dirty_log(ID, &RUN).unwrap();
    let dirty = moments.iter().map(|at| {
        assert_eq!(log.wait_until(seconds(*at)).unwrap(), Wake::Due);
        let peek = log.peek().unwrap();
        assert!((peek.at.as_secs_f64() - at).abs() < 1e-6);
        peek.dirty.0
    });
    dirty.collect()
}

fn whole_sample(host: &SimHost, name: &str) -> Sample {
    let domain = host.find(name).unwrap();
    sample(host, &domain, &Plan::default(), &RUN, &mut |_| {}).unwrap()
}

#[test]
fn a_sweep_dirties_its_rate_until_it_has_been_everywhere() {
    let host = workload("kind = 'sweep'\nrate = 1000\npages = 2500");
    assert_eq!(curve(&host, 0.0, &[0.5, 1.0, 2.0, 3.0, 9.0]), [500, 1000, 2000, 2500, 2500]);
}

#[test]
fn random_writes_meet_pages_again() {
    // n (1 - exp(-k/n)) distinct pages of n after k writes.
    let host = workload("kind = 'steady'\nrate = 10000\npages = 5000");
    let seen = curve(&host, 0.0, &[0.1, 0.5, 2.0])[..].to_vec();
    for (seen, writes) in seen.into_iter().zip([1000.0, 5000.0, 20000.0]) {
        let expected = 5000.0 * (1.0 - f64::exp(-writes / 5000.0));
        assert!((seen as f64 / expected - 1.0).abs() < 0.03, "{seen} for {expected}");
    }
}

#[test]
fn a_hot_set_saturates_before_its_cold_pages() {
    let keys = "kind = 'hot'\nrate = 10000\npages = 100\nshare = 0.9\ncold_pages = 50000";
    let seen = curve(&workload(keys), 0.0, &[0.1, 1.0]);
    assert!((190..=205).contains(&seen[0]), "{seen:?}");
    assert!((1060..=1105).contains(&seen[1]), "{seen:?}");
}

#[test]
fn a_burst_is_seen_only_by_the_window_it_falls_into() {
    let keys = "kind = 'burst'\nperiod = '10s'\nbusy = '1s'\nrate = 5000\npages = 100000";
    let quiet = curve(&workload(keys), 5.0, &[1.0, 4.0]);
    let busy = curve(&workload(keys), 9.5, &[0.5, 1.5, 4.0]);
    assert_eq!(quiet, [0, 0]);
    assert_eq!(busy[0], 0);
    assert!(busy[1] > 4800 && busy[1] == busy[2], "{busy:?}");
    let shifted = workload(&format!("{keys}\nphase = '4500ms'"));
    assert_eq!(curve(&shifted, 5.0, &[0.5, 1.5])[0], 0);
}

#[test]
fn a_day_is_quiet_at_its_start_and_busy_in_its_middle() {
    let keys = "kind = 'diurnal'\nlow = 10\nhigh = 1000\npages = 200000";
    let at = |hour: f64| curve(&workload(keys), hour * 3600.0, &[10.0])[0];
    assert!((95..=105).contains(&at(0.0)), "{}", at(0.0));
    assert!((9500..=10_000).contains(&at(12.0)), "{}", at(12.0));
    assert!((4500..=5500).contains(&at(6.0)) && (4500..=5500).contains(&at(18.0)));
}

#[test]
fn the_builtin_domains_are_what_they_are_called() {
    let host = SimHost::builtin();
    let last = |sample: &Sample| -> Vec<u64> {
        sample.complete().map(|window| window.points.last().unwrap().1.0).collect()
    };
    let (idle, web) = (whole_sample(&host, "idle"), whole_sample(&host, "web"));
    let (db, batch) = (whole_sample(&host, "db"), whole_sample(&host, "batch"));
    assert!(last(&idle).iter().all(|dirty| *dirty < 100));
    let web = last(&web);
    assert!(web.iter().max().unwrap() - web.iter().min().unwrap() < 100, "{web:?}");
    let db = last(&db);
    assert!(db.iter().max().unwrap() > &(3 * db.iter().min().unwrap()), "{db:?}");
    let link = host.link().unwrap().get() / 4104.0;
    assert!(last(&batch).iter().all(|dirty| *dirty as f64 >= 0.99 * 900_000f64.min(3.0 * link)));
    assert_eq!(host.logs_switched_on(), 4 * Plan::default().lengths().len() as u64);
}

#[test]
fn the_same_seed_gives_the_same_sample_and_another_one_another() {
    let scene = include_str!("builtin.toml");
    let with = |text: &str| whole_sample(&SimHost::from_toml(text, "test").unwrap(), "db").windows;
    assert_eq!(with(scene), with(scene));
    assert_ne!(with(scene), with(&scene.replace("seed = 1", "seed = 2")));
}

#[test]
fn utilisation_follows_the_scene() {
    let host = host(
        "cpu = 0.25\n[[domain.workload]]\nkind = 'burst'\nperiod = '2s'\nbusy = '1s'\nrate = 1\n\
         pages = 1\ncpu = 0.5\n[host]\ncpus = 4\nload = 0.1",
    );
    let plan = Plan { window: seconds(2.0), ..Plan::default() };
    let domain = host.domain(ID).unwrap();
    let sample = sample(&host, &domain, &plan, &RUN, &mut |_| {}).unwrap();
    let vcpus = sample.vcpu_utilisation();
    assert!(vcpus.len() == 2 && vcpus.iter().all(|used| (used - 0.5).abs() < 0.01), "{vcpus:?}");
    let used = sample.host_cpu_utilisation().unwrap();
    assert!((used - (0.1 + 0.5 * 2.0 / 4.0)).abs() < 0.01, "{used}");
}

#[test]
fn the_bitmap_holds_as_many_pages_as_the_count_says() {
    let host = SimHost::builtin();
    let domain = host.find("db").unwrap();
    let mut log = host.dirty_log(domain.id, &RUN).unwrap();
    log.wait_until(seconds(5.0)).unwrap();
    let mut bitmap = Bitmap::new(domain.p2m_size);
    let peek = log.peek_bitmap(&mut bitmap).unwrap();
    assert_eq!(bitmap.count(), peek.dirty);
    assert!(peek.dirty > Pages(100_000), "{peek:?}");
}

#[test]
fn a_save_that_begins_takes_the_log_over() {
    let host = host("fault.save_begins_after = '4s'");
    let sample = whole_sample(&host, "guest");
    assert_eq!(sample.complete().count(), 1);
    assert_eq!(sample.ended(), Ended::SaveBegan);
    assert!(!host.log_is_on(ID));
    assert_eq!(host.transfer(ID).unwrap(), Some(Transfer::Outgoing { pid: 4242 }));
    assert_eq!(host.dirty_log(ID, &RUN).err().unwrap().kind(), Kind::Busy);
}

#[test]
fn a_domain_can_vanish_in_the_middle() {
    let host = host("fault.vanishes_after = '1s'");
    assert_eq!(whole_sample(&host, "guest").ended(), Ended::DomainGone);
    assert_eq!(host.domain(ID).unwrap_err().kind(), Kind::NoSuchDomain);
    assert!(!host.log_is_on(ID));
}

#[test]
fn pressing_ctrl_c_ends_the_sample_with_the_log_off() {
    let host = host("fault.interrupted_after = '2s'");
    let stop = AtomicBool::new(false);
    let domain = host.domain(ID).unwrap();
    let sample = sample(&host, &domain, &Plan::default(), &stop, &mut |_| {}).unwrap();
    assert_eq!(sample.ended(), Ended::Interrupted);
    assert!(stop.load(Ordering::Relaxed) && !host.log_is_on(ID));
}

#[test]
fn a_log_that_cannot_be_had_says_why() {
    let refused = |more: &str| host(more).dirty_log(ID, &RUN).err().unwrap().kind();
    assert_eq!(refused("fault.log_dirty_busy = true"), Kind::Busy);
    assert_eq!(refused("fault.incoming = true"), Kind::Busy);
    assert_eq!(refused("fault.log_dirty_unsupported = true"), Kind::Unsupported);
    assert_eq!(refused("type = 'pv'"), Kind::Unsupported);
    assert_eq!(refused("[host]\nhap = false"), Kind::Unsupported);
    assert_eq!(refused("[host]\nno_permission = true"), Kind::Permission);
    assert!(host("type = 'pv'\n[host]\nshadow = true").dirty_log(ID, &RUN).is_ok());
}

#[test]
fn two_cannot_own_one_log() {
    let host = SimHost::builtin();
    let first = host.dirty_log(ID, &RUN).unwrap();
    assert_eq!(host.dirty_log(ID, &RUN).err().unwrap().kind(), Kind::Busy);
    assert!(host.dirty_log(DomId(2), &RUN).is_ok());
    first.close().unwrap();
    assert!(host.dirty_log(ID, &RUN).is_ok());
}

#[test]
fn recover_switches_off_what_a_killed_run_left_on() {
    let host = host("fault.log_dirty_left_on = true");
    assert_eq!(host.dirty_log(ID, &RUN).err().unwrap().kind(), Kind::Busy);
    let cleaned = host.recover(Recovery::Tidy).unwrap();
    assert!(cleaned.len() == 1 && cleaned[0].domid == ID && cleaned[0].clean);
    assert!(host.recover(Recovery::Resume).unwrap().is_empty());
    assert!(host.dirty_log(ID, &RUN).is_ok());
}

#[test]
fn findings_show_the_faults_of_the_host() {
    let worst = |more: &str| host(more).findings().into_iter().map(|f| f.state).max().unwrap();
    assert_eq!(worst("[host]\nshadow = true"), Health::Good);
    assert_eq!(worst(""), Health::Limited);
    assert_eq!(worst("[host]\nno_permission = true"), Health::Bad);
    assert_eq!(worst("[host]\nhap = false"), Health::Bad);
}

/// Any workload of at most 2000 pages.
fn any_workload() -> impl Strategy<Value = String> {
    let burst = |(rate, pages, busy): (u32, u32, u32)| {
        format!(
            "kind = 'burst'\nperiod = '1s'\nbusy = '{busy}ms'\nrate = {rate}\nquiet_rate = 7\n\
             pages = {pages}"
        )
    };
    let sweep = |(rate, pages): (u32, u32)| format!("kind='sweep'\nrate={rate}\npages={pages}");
    let steady = |(rate, pages): (u32, u32)| format!("kind='steady'\nrate={rate}\npages={pages}");
    let hot = |(rate, pages): (u32, u32)| {
        format!("kind = 'hot'\nrate = {rate}\npages = {pages}\ncold_pages = 1000")
    };
    let diurnal = |(high, pages): (u32, u32)| {
        format!("kind = 'diurnal'\nperiod = '3s'\nlow = 0\nhigh = {high}\npages = {pages}")
    };
    let numbers = || (0..5000u32, 1..1000u32);
    prop_oneof![
        (0..5000u32, 1..1000u32, 0..1000u32).prop_map(burst),
        numbers().prop_map(sweep),
        numbers().prop_map(steady),
        numbers().prop_map(hot),
        numbers().prop_map(diurnal),
    ]
}

proptest! {
    /// W never falls, starts at 0, never exceeds the writes or the pages; looking often changes
    /// nothing; and the bitmap's pages are distinct and as many as the count says.
    #[test]
    fn w_is_a_dirty_curve(
        workloads in proptest::collection::vec(any_workload(), 1..4),
        up in 0.0..5.0f64,
        mut moments in proptest::collection::vec(0.0..4.0f64, 1..12),
    ) {
        let scene: String = workloads.iter().map(|w| format!("[[domain.workload]]\n{w}\n")).collect();
        moments.sort_by(f64::total_cmp);
        let often = curve(&host(&scene), up, &moments);
        let last = *moments.last().unwrap();
        prop_assert!(often.is_sorted());
        prop_assert_eq!(*often.last().unwrap(), curve(&host(&scene), up, &[last])[0]);
        prop_assert!(*often.last().unwrap() <= 6000);
        prop_assert_eq!(curve(&host(&scene), up, &[0.0])[0], 0);

        let host = host(&scene);
        host.pause(seconds(up), &RUN);
            let mut log = host.dirty_log(ID, &RUN).unwrap();
        log.wait_until(seconds(last)).unwrap();
        let mut bitmap = Bitmap::new(host.domain(ID).unwrap().p2m_size);
        let peek = log.peek_bitmap(&mut bitmap).unwrap();
        let distinct: BTreeSet<_> = bitmap.iter().collect();
        prop_assert_eq!(distinct.len() as u64, peek.dirty.0);
    }
}
