//! Nothing is allocated for a packet, in whichever way a program works with its queue. A test binary of its own, since it
//! brings its own allocator, which counts for each thread.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

#[cfg(feature = "tokio")]
mod asynchronous;
mod endless;
mod rewriting;
mod simulated;

/// The counter counts: otherwise the tests here would prove nothing.
#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(core::hint::black_box(vec![0_u8; 100])));
    assert_eq!(info.count_total, 1);
}
