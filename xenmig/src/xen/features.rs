//! CPU features: what the host has, what its guests can get, and what a guest was given.
//!
//! A guest's features are read out of its whole CPU policy, by calls that differ: before Xen 4.16
//! the policy came as plain CPUID leaves, since then as an object that can be turned into them. The
//! words that MSRs fill (16 and 17) are not among the leaves, and stay empty.

use std::ptr;
#[cfg(xen_ge_4_16)]
use std::ptr::NonNull;

use xen_sys as sys;

use super::control::{Control, errno};
use super::gate::{check, on, on_host};
use crate::error::Result;
#[cfg(xen_ge_4_16)]
use crate::error::{Error, Kind};
use crate::host::{CpuFeatures, DomId, FeatureSet};

/// What PV guests can get at most (`XEN_SYSCTL_cpu_featureset_pv_max`). The headers of point releases
/// before spring 2023 do not have it, and their hypervisors answer EINVAL.
const PV_MAX: u32 = 4;
/// The same of HVM and PVH guests.
const HVM_MAX: u32 = 5;

/// What the host's CPUs offer.
pub(super) fn of_host(control: &Control) -> Result<CpuFeatures> {
    let read = |index| featureset(control, index);
    Ok(CpuFeatures {
        host: read(sys::XEN_SYSCTL_cpu_featureset_host)?,
        pv: read(sys::XEN_SYSCTL_cpu_featureset_pv)?,
        hvm: read(sys::XEN_SYSCTL_cpu_featureset_hvm)?,
        pv_max: read(PV_MAX)?,
        hvm_max: read(HVM_MAX)?,
    })
}

/// One of the host's featuresets; `None` for one that this Xen does not have, as those of a type of
/// guests that it was built without.
fn featureset(control: &Control, index: u32) -> Result<Option<FeatureSet>> {
    let mut words = vec![0; FeatureSet::MOST_WORDS];
    let mut count = FeatureSet::MOST_WORDS as u32;
    // SAFETY: `words` has room for the `count` words that the call may write.
    let returned = unsafe {
        sys::xc_get_cpu_featureset(control.raw(), index, &raw mut count, words.as_mut_ptr())
    };
    let absent = [Some(libc::EOPNOTSUPP), Some(libc::EINVAL)];
    if returned < 0 && absent.contains(&errno().raw_os_error()) {
        return Ok(None);
    }
    check(returned, on_host("read the CPU features"))?;
    words.truncate(count as usize);
    Ok(Some(FeatureSet::new(words)))
}

/// What the domain was given.
pub(super) fn of_domain(control: &Control, id: DomId) -> Result<FeatureSet> {
    Ok(FeatureSet::new(words(&leaves(control, id)?)))
}

/// Room for the policy of any domain: how many leaves there can be.
fn most_leaves(control: &Control) -> Result<u32> {
    let (mut leaves, mut msrs) = (0, 0);
    // SAFETY: the call writes the two numbers it is given.
    #[cfg(xen_ge_4_16)]
    let returned =
        unsafe { sys::xc_cpu_policy_get_size(control.raw(), &raw mut leaves, &raw mut msrs) };
    // SAFETY: as above; only the name was another one.
    #[cfg(not(xen_ge_4_16))]
    let returned =
        unsafe { sys::xc_get_cpu_policy_size(control.raw(), &raw mut leaves, &raw mut msrs) };
    check(returned, on_host("read the size of a CPU policy"))?;
    Ok(leaves)
}

#[cfg(xen_ge_4_16)]
fn leaves(control: &Control, id: DomId) -> Result<Vec<sys::xen_cpuid_leaf_t>> {
    let attempt = on(id, "read the CPU policy");
    let policy = Policy::new()?;
    // SAFETY: the policy is allocated; the call fills it.
    let returned =
        unsafe { sys::xc_cpu_policy_get_domain(control.raw(), u32::from(id.0), policy.raw()) };
    check(returned, attempt)?;
    let mut count = most_leaves(control)?;
    let mut leaves = vec![sys::xen_cpuid_leaf_t::default(); count as usize];
    // SAFETY: the policy is filled; `leaves` has room for the `count` leaves that the call may
    // write; null asks for no MSRs.
    let returned = unsafe {
        sys::xc_cpu_policy_serialise(
            control.raw(),
            policy.raw(),
            leaves.as_mut_ptr(),
            &raw mut count,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    check(returned, attempt)?;
    leaves.truncate(count as usize);
    Ok(leaves)
}

#[cfg(not(xen_ge_4_16))]
fn leaves(control: &Control, id: DomId) -> Result<Vec<sys::xen_cpuid_leaf_t>> {
    let mut count = most_leaves(control)?;
    let mut leaves = vec![sys::xen_cpuid_leaf_t::default(); count as usize];
    let mut msrs = 0;
    // SAFETY: `leaves` has room for the `count` leaves that the call may write; no MSR is asked
    // for.
    let returned = unsafe {
        sys::xc_get_domain_cpu_policy(
            control.raw(),
            u32::from(id.0),
            &raw mut count,
            leaves.as_mut_ptr(),
            &raw mut msrs,
            ptr::null_mut(),
        )
    };
    check(returned, on(id, "read the CPU policy"))?;
    leaves.truncate(count as usize);
    Ok(leaves)
}

/// A CPU policy that libxenguest keeps. Freed when dropped.
#[cfg(xen_ge_4_16)]
struct Policy(NonNull<sys::xc_cpu_policy_t>);

#[cfg(xen_ge_4_16)]
impl Policy {
    fn new() -> Result<Self> {
        // SAFETY: the call takes nothing, and gives a policy or null.
        let policy = unsafe { sys::xc_cpu_policy_init() };
        NonNull::new(policy)
            .map(Self)
            .ok_or_else(|| Error::new(Kind::Internal, "there is no memory for a CPU policy"))
    }

    const fn raw(&self) -> *mut sys::xc_cpu_policy_t {
        self.0.as_ptr()
    }
}

#[cfg(xen_ge_4_16)]
impl Drop for Policy {
    fn drop(&mut self) {
        // SAFETY: the policy came from xc_cpu_policy_init and is freed once.
        unsafe { sys::xc_cpu_policy_destroy(self.raw()) };
    }
}

/// Where Xen's featureset words come from: leaf, subleaf (0 where the leaf has none) and register
/// (`cpu-policy.h`, 4.14 to 4.22). 16 and 17 are halves of an MSR.
const SOURCES: [(usize, u32, u32, Register); 17] = {
    use Register::{Eax, Ebx, Ecx, Edx};
    [
        (0, 1, 0, Edx),
        (1, 1, 0, Ecx),
        (2, 0x8000_0001, 0, Edx),
        (3, 0x8000_0001, 0, Ecx),
        (4, 0xd, 1, Eax),
        (5, 7, 0, Ebx),
        (6, 7, 0, Ecx),
        (7, 0x8000_0007, 0, Edx),
        (8, 0x8000_0008, 0, Ebx),
        (9, 7, 0, Edx),
        (10, 7, 1, Eax),
        (11, 0x8000_0021, 0, Eax),
        (12, 7, 1, Ebx),
        (13, 7, 2, Edx),
        (14, 7, 1, Ecx),
        (15, 7, 1, Edx),
        (18, 0x8000_0021, 0, Ecx),
    ]
};

#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// The subleaf of a leaf that has none (`XEN_CPUID_NO_SUBLEAF`).
const NO_SUBLEAF: u32 = u32::MAX;

fn words(leaves: &[sys::xen_cpuid_leaf_t]) -> Vec<u32> {
    let mut words = vec![0; 1 + SOURCES.iter().map(|(word, ..)| *word).max().unwrap_or(0)];
    for (word, leaf, subleaf, register) in SOURCES {
        let found = leaves.iter().find(|found| {
            let at = if found.subleaf == NO_SUBLEAF { 0 } else { found.subleaf };
            (found.leaf, at) == (leaf, subleaf)
        });
        words[word] = found.map_or(0, |found| match register {
            Register::Eax => found.a,
            Register::Ebx => found.b,
            Register::Ecx => found.c,
            Register::Edx => found.d,
        });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_from_their_leaves() {
        let leaf = |leaf, subleaf, [a, b, c, d]: [u32; 4]| sys::xen_cpuid_leaf_t {
            leaf,
            subleaf,
            a,
            b,
            c,
            d,
        };
        let leaves = [
            leaf(0, NO_SUBLEAF, [7, 0, 0, 0]),
            leaf(1, NO_SUBLEAF, [0, 0, 0x31, 0x30]),
            leaf(7, 0, [1, 0x35, 0x36, 0x39]),
            leaf(7, 1, [0x3a, 0, 0, 0x3f]),
            leaf(0xd, 0, [9, 9, 9, 9]),
            leaf(0xd, 1, [0x34, 0, 0, 0]),
            leaf(0x8000_0001, NO_SUBLEAF, [0, 0, 0x33, 0x32]),
        ];
        let expected =
            [0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0, 0, 0x39, 0x3a, 0, 0, 0, 0, 0x3f, 0, 0, 0];
        assert_eq!(words(&leaves), expected);
        assert_eq!(words(&[]), [0; 19]);
    }
}
