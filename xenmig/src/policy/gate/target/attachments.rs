//! What the guest's configuration names and the target has to have, or must not have.

use serde_json::json;

use crate::policy::gate::Facts;
use crate::policy::gate::reason::Fired;

pub(in crate::policy::gate) fn bridge(facts: &Facts<'_>) -> Option<Fired> {
    let (target, setup) = (facts.target?, facts.setup?);
    let there = &target.inventory.bridges;
    let missing: Vec<_> = setup.bridges.iter().filter(|bridge| !there.contains(bridge)).collect();
    if missing.is_empty() {
        return None;
    }
    let list = list(&missing);
    let evidence = json!({ "bridges": missing, "target_bridges": there });
    // What is no bridge of Linux at this host need be none at the target either.
    let linux = missing.iter().any(|bridge| target.here.bridges.contains(bridge));
    let fired = if linux {
        Fired::block(format!("its network bridges do not exist at the target: {list}"))
            .advice("create them there, or change the bridge in the guest's configuration")
    } else {
        Fired::info(format!("whether the target has these bridges cannot be told: {list}"))
            .advice("they are none of Linux' own here; look at the target's virtual switch")
    };
    Some(fired.evidence(evidence))
}

pub(in crate::policy::gate) fn disk(facts: &Facts<'_>) -> Option<Fired> {
    let (target, setup) = (facts.target?, facts.setup?);
    let answered = |answer| {
        let paths = setup.disk_paths.iter();
        paths.filter(|path| target.inventory.has_path(path) == answer).collect::<Vec<_>>()
    };
    let (missing, unknown) = (answered(Some(false)), answered(None));
    if !missing.is_empty() {
        let fired =
            Fired::block(format!("its disks do not exist at the target: {}", list(&missing)))
                .evidence(json!({ "disks": missing }))
                .advice("attach the storage there under the same paths, or choose another target");
        return Some(fired);
    }
    (!unknown.is_empty()).then(|| {
        Fired::info(format!("whether the target has its disks is unknown: {}", list(&unknown)))
            .evidence(json!({ "disks": unknown }))
            .advice("name them there: `xenmig hostinfo --json --disk PATH`")
    })
}

pub(in crate::policy::gate) fn name_taken(facts: &Facts<'_>) -> Option<Fired> {
    let (domain, target) = (facts.domain, facts.target?);
    let uuid = domain.uuid.to_string();
    let residents = &target.inventory.load.domains;
    let itself = residents.iter().find(|other| other.uuid == uuid);
    let namesake =
        residents.iter().find(|other| !other.name.is_empty() && other.name == domain.name);
    let other = itself.or(namesake)?;
    let fired = if itself.is_some() {
        Fired::info("the target has a domain of the same identity: is it this host?")
            .advice("if it is not, look what an earlier migration left there")
    } else {
        Fired::block(format!("the target has another domain called `{}`", domain.name))
            .advice("rename one of the two with `xl rename`")
    };
    let evidence = json!({ "target_domid": other.domid, "uuid": uuid, "target_uuid": other.uuid });
    Some(fired.evidence(evidence))
}

fn list(names: &[&String]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}
