//! CPU features as Xen counts them: words of bits, one bit a feature, in an order that is the same
//! on every host and in every version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GuestType;
use super::feature_names;

/// A set of CPU features (Xen's featureset). Written as `xen-cpuid` does: `178bfbff:f7fa3223:…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeatureSet(Vec<u32>);

impl FeatureSet {
    /// Most words that are read; Xen 4.22 has 19.
    pub const MOST_WORDS: usize = 64;

    /// The set of these words.
    #[must_use]
    pub const fn new(words: Vec<u32>) -> Self {
        Self(words)
    }

    /// How many features it has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// What it has and `other` has not. Words that a set does not have count as empty.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word & !other)
    }

    /// What both have.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word & other)
    }

    /// What a guest can rely on: without the bits that only repeat its own settings (`osxsave`,
    /// `ospke`) and those that tell of something missing (`fdp-excp-only`, `no-fpu-sel`,
    /// `rtm-always-abort`).
    #[must_use]
    pub fn promises(&self) -> Self {
        const NONE: [u32; 10] = [0, 1 << 27, 0, 0, 0, 1 << 6 | 1 << 13, 1 << 4, 0, 0, 1 << 11];
        self.without(&Self(NONE.to_vec()))
    }

    fn combine(&self, other: &Self, with: fn(u32, u32) -> u32) -> Self {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        Self(self.0.iter().zip(others).map(|(word, other)| with(*word, other)).collect())
    }

    /// What its features are called, in Xen's order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let bits = self.0.iter().enumerate().flat_map(|(word, bits)| {
            (0..32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| (word, bit))
        });
        let name = |(word, bit)| {
            let known = feature_names::name(word, bit).map(str::to_owned);
            known.unwrap_or_else(|| format!("word {word} bit {bit}"))
        };
        bits.map(name).collect()
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.iter().enumerate() {
            let mark = if at == 0 { "" } else { ":" };
            write!(out, "{mark}{word:08x}")?;
        }
        Ok(())
    }
}

impl FromStr for FeatureSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no set of CPU features, as 178bfbff:f7fa3223");
        let words = text.split(':').map(|word| u32::from_str_radix(word, 16).ok());
        let words: Vec<_> = words.collect::<Option<_>>().ok_or_else(wrong)?;
        if words.len() > Self::MOST_WORDS { Err(wrong()) } else { Ok(Self(words)) }
    }
}

impl TryFrom<String> for FeatureSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FeatureSet> for String {
    fn from(set: FeatureSet) -> Self {
        set.to_string()
    }
}

/// What a host's CPUs offer, and what its guests get of that. Each is `None` where Xen does not
/// say, as of a type of guests that it was built without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeatures {
    /// What Xen itself uses.
    pub host: Option<FeatureSet>,
    /// What PV guests get by default.
    pub pv: Option<FeatureSet>,
    /// What HVM and PVH guests get by default.
    pub hvm: Option<FeatureSet>,
    /// What PV guests can get at most: a guest that arrives may have so much.
    pub pv_max: Option<FeatureSet>,
    /// What HVM and PVH guests can get at most.
    pub hvm_max: Option<FeatureSet>,
}

impl CpuFeatures {
    /// What guests of this type get by default.
    #[must_use]
    pub fn default_of(&self, guests: GuestType) -> Option<&FeatureSet> {
        match guests {
            GuestType::Pv => self.pv.as_ref(),
            GuestType::Pvh | GuestType::Hvm => self.hvm.as_ref(),
        }
    }

    /// What guests of this type can get at most; `None` also where Xen is too old to say.
    #[must_use]
    pub fn most_of(&self, guests: GuestType) -> Option<&FeatureSet> {
        match guests {
            GuestType::Pv => self.pv_max.as_ref(),
            GuestType::Pvh | GuestType::Hvm => self.hvm_max.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> FeatureSet {
        text.parse().unwrap()
    }

    #[test]
    fn it_reads_what_it_writes() {
        let text = "178bfbff:f7fa3223:00000000";
        assert_eq!(set(text).to_string(), text);
        for wrong in ["", "x", "123456789", "1:", &"1:".repeat(65)] {
            assert!(wrong.parse::<FeatureSet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn features_have_xens_names() {
        let some = set("00000001:10000000:0:0:0:00000020");
        assert_eq!(some.names(), ["fpu", "avx", "avx2"]);
        assert_eq!(set("00000400").names(), ["word 0 bit 10"]);
        assert_eq!(FeatureSet::new([vec![0; 18], vec![0b110]].concat()).names().len(), 2);
    }

    #[test]
    fn what_one_lacks_is_found_whatever_the_lengths() {
        let (old, new) = (set("f"), set("ff:1"));
        assert_eq!(new.without(&old), set("f0:1"));
        assert_eq!(old.without(&new).count(), 0);
        assert_eq!(new.and(&old).count(), 4);
    }

    #[test]
    fn what_only_tells_of_flaws_and_settings_is_no_promise() {
        let all = FeatureSet::new(vec![u32::MAX; 19]);
        let left_out = all.without(&all.promises());
        let flaws = ["osxsave", "fdp-excp-only", "no-fpu-sel", "ospke", "rtm-always-abort"];
        assert_eq!(left_out.names(), flaws);
    }

    #[test]
    fn pvh_guests_get_what_hvm_guests_get() {
        let features = CpuFeatures {
            hvm_max: Some(set("3")),
            pv_max: Some(set("1")),
            hvm: Some(set("2")),
            ..CpuFeatures::default()
        };
        assert_eq!(features.most_of(GuestType::Pvh), features.hvm_max.as_ref());
        assert_eq!(features.most_of(GuestType::Pv), features.pv_max.as_ref());
        assert_eq!(features.default_of(GuestType::Hvm), features.hvm.as_ref());
        assert_eq!(features.default_of(GuestType::Pv), None);
    }
}
