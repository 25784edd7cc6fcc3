//! Every message at every version comes back as it was written.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[allow(dead_code, clippy::all)]
mod samples;

use bytes::Bytes;
use klamm_wire::{Message, decode_from_bytes, encode_to_bytes};
use proptest::prelude::*;
use samples::Sampler;

fn check<M: Message + PartialEq + std::fmt::Debug>(seed: u64, sample: fn(&mut Sampler, i16) -> M) {
    for version in M::MIN..=M::MAX {
        let message = sample(&mut Sampler::new(seed ^ version as u64), version);
        let encoded = encode_to_bytes(&message, version)
            .unwrap_or_else(|e| panic!("{} v{version} seed {seed}: {e}: {message:?}", M::NAME));
        let decoded: M = decode_from_bytes(encoded.clone(), version)
            .unwrap_or_else(|e| panic!("{} v{version} seed {seed}: {e}: {message:?}", M::NAME));
        assert_eq!(decoded, message, "{} v{version} seed {seed}", M::NAME);
        assert_eq!(
            encode_to_bytes(&decoded, version).unwrap(),
            encoded,
            "{} v{version} seed {seed}",
            M::NAME
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_at_every_version_survives_the_wire(seed: u64) {
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                check::<klamm_wire::messages::$module::$name>(seed, samples::$module::sample)
            };
        }
        for_every_message!(visit);
    }
}

#[test]
fn defaults_can_be_written_at_every_version() {
    fn check<M: Message + Default>() {
        for version in M::MIN..=M::MAX {
            let result = encode_to_bytes(&M::default(), version);
            assert!(result.is_ok(), "{} v{version}: {result:?}", M::NAME);
        }
    }
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            check::<klamm_wire::messages::$module::$name>()
        };
    }
    for_every_message!(visit);
}

#[test]
fn a_version_that_the_message_does_not_have_is_refused_both_ways() {
    fn check<M: Message + Default>() {
        for version in [M::MIN - 1, M::MAX + 1] {
            assert!(encode_to_bytes(&M::default(), version).is_err(), "{} v{version}", M::NAME);
            assert!(decode_from_bytes::<M>(Bytes::new(), version).is_err(), "{} v{version}", M::NAME);
        }
    }
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            check::<klamm_wire::messages::$module::$name>()
        };
    }
    for_every_message!(visit);
}
