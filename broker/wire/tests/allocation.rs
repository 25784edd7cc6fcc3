//! Decoding allocates in proportion to the frame, whatever the frame claims.
#![allow(unsafe_code, clippy::unwrap_used)]

#[macro_use]
#[allow(dead_code, clippy::all)]
mod samples;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use klamm_wire::{Message, decode_from_bytes, encode_to_bytes};
use proptest::prelude::*;
use samples::Sampler;

/// Counts the bytes that this thread asks for.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|total| total.set(total.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated for each byte of the frame: a struct of a few strings and arrays against its smallest encoding,
/// at each level of nesting.
const FACTOR: usize = 128;
/// For the error itself.
const CONSTANT: usize = 1024;

fn check<M: Message>(bytes: &Bytes) {
    for version in M::MIN..=M::MAX {
        let before = ALLOCATED.get();
        let result = decode_from_bytes::<M>(bytes.clone(), version);
        let allocated = ALLOCATED.get() - before;
        let bound = FACTOR * bytes.len() + CONSTANT;
        let outcome = if result.is_ok() { "decoded" } else { "refused" };
        assert!(
            allocated <= bound,
            "{} v{version}: {allocated} bytes for {} {outcome}: {bytes:?}",
            M::NAME,
            bytes.len()
        );
    }
}

/// Bytes that look like counts at every place: the worst that array lengths can do.
#[test]
fn frames_that_claim_as_much_as_they_can_are_bounded() {
    for byte in [0u8, 1, 2, 0x10, 0x20, 0x40, 0x7f, 0xff] {
        for length in [1, 2, 5, 64, 127, 1000, 4096] {
            let mut plain = vec![byte; length];
            check_all(&plain.clone().into());
            // Many elements, each as small as it can be.
            plain.fill(1);
            plain[0] = byte;
            check_all(&plain.into());
        }
    }
}

fn check_all(bytes: &Bytes) {
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            check::<klamm_wire::messages::$module::$name>(bytes)
        };
    }
    for_every_message!(visit);
}

fn damaged<M: Message>(seed: u64, sample: fn(&mut Sampler, i16) -> M) {
    let mut random = Sampler::new(!seed);
    for version in M::MIN..=M::MAX {
        let mut bytes = encode_to_bytes(&sample(&mut Sampler::new(seed), version), version).unwrap().to_vec();
        let at = random.below(bytes.len().max(1) as u64) as usize;
        bytes.iter_mut().skip(at).take(5).for_each(|byte| *byte |= 0x7f);
        check::<M>(&bytes.into());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_frames_are_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_all(&bytes.into());
    }

    #[test]
    fn frames_that_lie_about_a_length_are_bounded(seed: u64) {
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                damaged(seed, samples::$module::sample)
            };
        }
        for_every_message!(visit);
    }
}
