//! What Xen calls the CPU features: the names of its command line (`cpuid=`).

/// Name of the feature at `bit` of a featureset's `word`; `None` for one that had no name when this
/// was written.
pub(super) fn name(word: usize, bit: usize) -> Option<&'static str> {
    NAMES.get(word)?.split_whitespace().nth(bit).filter(|name| *name != UNNAMED)
}

/// A bit without a name.
const UNNAMED: &str = ".";

/// The names of each word's bits, from bit 0 on (`cpufeatureset.h` of Xen 4.22; words and bits never
/// change their meaning, new ones are added).
const NAMES: [&str; 19] = [
    // 1.edx
    "fpu vme de pse tsc msr pae mce cx8 apic . sep mtrr pge mca cmov pat pse36 . clflush . ds \
     acpi mmx fxsr sse sse2 ss htt tm1 . pbe",
    // 1.ecx
    "sse3 pclmulqdq dtes64 monitor dscpl vmx smx eist tm2 ssse3 . sdbg fma cx16 xtpr pdcm . \
     pcid dca sse4-1 sse4-2 x2apic movbe popcnt tsc-deadline aesni xsave osxsave avx f16c \
     rdrand hypervisor",
    // 0x80000001.edx
    ". . . . . . . . . . . syscall . . . . . . . . nx . mmxext . . ffxsr page1gb rdtscp . lm \
     3dnowext 3dnow",
    // 0x80000001.ecx
    "lahf-lm cmp-legacy svm extapic cr8-legacy abm sse4a misalignsse 3dnowprefetch osvw ibs \
     xop skinit wdt . lwp fma4 . . nodeid-msr . tbm topoext . . . dbext . . monitorx \
     addr-msk-ext",
    // 0xd:1.eax
    "xsaveopt xsavec xgetbv1 xsaves xfd",
    // 7:0.ebx
    "fsgsbase tsc-adjust sgx bmi1 hle avx2 fdp-excp-only smep bmi2 erms invpcid rtm pqm \
     no-fpu-sel mpx pqe avx512f avx512dq rdseed adx smap avx512-ifma . clflushopt clwb \
     proc-trace avx512pf avx512er avx512cd sha avx512bw avx512vl",
    // 7:0.ecx
    "prefetchwt1 avx512-vbmi umip pku ospke waitpkg avx512-vbmi2 cet-ss gfni vaes vpclmulqdq \
     avx512-vnni avx512-bitalg tme avx512-vpopcntdq . la57 . . . . . rdpid . bld cldemote . \
     movdiri movdir64b enqcmd sgx-lc pks",
    // 0x80000007.edx
    ". . . . . . . hw-pstate itsc cpb efro",
    // 0x80000008.ebx
    "clzero . rstr-fp-err-ptrs . . . . . . wbnoinvd . . ibpb . ibrs amd-stibp ibrs-always \
     stibp-always ibrs-fast ibrs-same-mode no-lmsl . . amd-ppin amd-ssbd virt-ssbd ssb-no \
     cppc psfd btc-no ibpb-ret",
    // 7:0.edx
    ". sgx-keys avx512-4vnniw avx512-4fmaps fsrm uintr . . avx512-vp2intersect srbds-ctrl \
     md-clear rtm-always-abort . tsx-force-abort serialize hybrid tsxldtrk . pconfig arch-lbr \
     cet-ibt . amx-bf16 avx512-fp16 amx-tile amx-int8 ibrsb stibp l1d-flush arch-caps \
     core-caps ssbd",
    // 7:1.eax
    "sha512 sm3 sm4 . avx-vnni avx512-bf16 lass cmpccxadd arch-perf-mon . fzrm fsrs fsrcs . . \
     . . fred lkgs wrmsrns nmi-src amx-fp16 . avx-ifma . . lam msrlist . . no-invd",
    // 0x80000021.eax
    "no-nest-bp fs-gs-ns lfence-dispatch . . verw-clear nscb . auto-ibrs . amd-fsrs amd-fsrc \
     . . . . . cpuid-user-dis epsf fsrsc amd-prefetchi . . avx512-bmm . . . sbpb ibpb-brtype \
     srso-no srso-us-no srso-msr-fix",
    // 7:1.ebx
    "intel-ppin",
    // 7:2.edx
    "intel-psfd ipred-ctrl rrsba-ctrl ddp-ctrl bhi-ctrl mcdt-no uc-lock-dis",
    // 7:1.ecx
    "",
    // 7:1.edx
    ". . . . avx-vnni-int8 avx-ne-convert . . amx-complex . avx-vnni-int16 . . . prefetchi . \
     . uiret-uif cet-sss . . . . . slsm",
    // MSR 0x10a, low
    "rdcl-no eibrs rsba skip-l1dfl intel-ssb-no mds-no if-pschange-mc-no tsx-ctrl taa-no \
     mcu-ctrl misc-pkg-ctrl energy-filtering doitm sbdr-ssdp-no fbsdp-no psdp-no mcu-ext \
     fb-clear fb-clear-ctrl rrsba bhi-no xapic-status . ovrclk-status pbrsb-no gds-ctrl \
     gds-no rfds-no rfds-clear ign-umonitor mon-umon-mitg",
    // MSR 0x10a, high
    "pb-opt-ctrl . . . . . . . . . . . . . . . . . . . . . . . . . . . . . its-no",
    // 0x80000021.ecx
    ". tsa-sq-no tsa-l1-no",
];
