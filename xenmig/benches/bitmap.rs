//! Counting and scanning the dirty bitmap of a 1 TiB guest (32 MiB), against copying it.
//!
//! The bitmaps are as a few seconds of writing leave them: 0.4 % of memory dirtied (1 Mi pages),
//! in runs of 16 pages on average. `scattered` is the worst case: single pages.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xenmig::dirty::Bitmap;
use xenmig::units::{Pages, Pfn};

const PAGES: u64 = 1 << 28;

/// `dirty` pages in runs of `1..=2 * mean - 1` pages at random places.
fn dirtied(dirty: u64, mean: u64) -> Bitmap {
    let mut bitmap = Bitmap::new(Pages(PAGES));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut left = dirty;
    while left > 0 {
        let run = (1 + random() % (2 * mean - 1)).min(left);
        let start = random() % (PAGES - run);
        (start..start + run).for_each(|pfn| bitmap.set(Pfn(pfn)));
        left -= run;
    }
    bitmap
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bitmap of 1 TiB");
    group.throughput(Throughput::Bytes(PAGES / 8));
    let usual = dirtied(1 << 20, 16);
    let scattered = dirtied(1 << 20, 1);
    let mut copy = usual.words().to_vec();
    group.bench_function("memcpy", |b| {
        b.iter(|| black_box(&mut copy).copy_from_slice(usual.words()))
    });
    group.bench_function("count", |b| b.iter(|| black_box(&usual).count()));
    for (name, bitmap) in [("usual", &usual), ("scattered", &scattered)] {
        group.bench_function(format!("runs and count, {name}"), |b| {
            b.iter(|| black_box(bitmap).for_each_run(|run| _ = black_box(run)));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
