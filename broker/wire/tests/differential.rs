//! The same bytes as the `kafka-protocol` crate, both ways, at every version that both know.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[allow(dead_code, clippy::all)]
mod samples;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message as Peer};
use klamm_wire::{ErrorCode, Message, decode_from_bytes, encode_to_bytes};
use proptest::prelude::*;
use samples::Sampler;

fn versions<M: Message, P: Peer>() -> impl Iterator<Item = i16> {
    M::MIN.max(P::VERSIONS.min)..=M::MAX.min(P::VERSIONS.max)
}

fn peer_encode<P: Encodable>(message: &P, version: i16) -> Bytes {
    let mut buffer = BytesMut::new();
    message.encode(&mut buffer, version).unwrap();
    buffer.freeze()
}

/// Ours, read and written again by the peer, is byte-equal; and ours reads what the peer wrote.
fn check<M, P>(seed: u64, sample: fn(&mut Sampler, i16) -> M)
where
    M: Message + PartialEq + std::fmt::Debug,
    P: Peer + Encodable + Decodable + std::fmt::Debug,
{
    for version in versions::<M, P>() {
        let message = sample(&mut Sampler::new(seed ^ version as u64), version);
        let ours = encode_to_bytes(&message, version).unwrap();
        let mut rest = ours.clone();
        let peer = P::decode(&mut rest, version)
            .unwrap_or_else(|e| panic!("{} v{version} seed {seed}: {e}: {message:?}", M::NAME));
        assert!(rest.is_empty(), "{} v{version} seed {seed}: the peer left {} bytes", M::NAME, rest.len());
        let theirs = peer_encode(&peer, version);
        assert_eq!(ours, theirs, "{} v{version} seed {seed}: {message:?} {peer:?}", M::NAME);
        assert_eq!(
            decode_from_bytes::<M>(theirs, version).unwrap(),
            message,
            "{} v{version} seed {seed}",
            M::NAME
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_are_byte_equal_with_the_peer(seed: u64) {
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                check::<klamm_wire::messages::$module::$name, kafka_protocol::messages::$name>(
                    seed,
                    samples::$module::sample,
                )
            };
        }
        for_every_kafka_message!(visit);
    }
}

#[test]
fn what_the_peer_writes_by_default_is_read_and_written_back() {
    fn check<M: Message, P: Peer + Encodable + Default>() {
        for version in versions::<M, P>() {
            let theirs = peer_encode(&P::default(), version);
            let message: M = decode_from_bytes(theirs.clone(), version).unwrap();
            assert_eq!(encode_to_bytes(&message, version).unwrap(), theirs, "{} v{version}", M::NAME);
        }
    }
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            check::<klamm_wire::messages::$module::$name, kafka_protocol::messages::$name>()
        };
    }
    for_every_kafka_message!(visit);
}

#[test]
fn defaults_are_those_of_the_peer() {
    fn check<M: Message + Default, P: Peer + Encodable + Default>() {
        for version in versions::<M, P>() {
            let ours = encode_to_bytes(&M::default(), version).unwrap();
            assert_eq!(ours, peer_encode(&P::default(), version), "{} v{version}", M::NAME);
        }
    }
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            check::<klamm_wire::messages::$module::$name, kafka_protocol::messages::$name>()
        };
    }
    for_every_kafka_message!(visit);
}

#[test]
fn the_peer_covers_what_is_claimed() {
    let mut compared = 0;
    macro_rules! visit {
        ($module:ident, $name:ident) => {
            compared +=
                versions::<klamm_wire::messages::$module::$name, kafka_protocol::messages::$name>().count()
        };
    }
    for_every_kafka_message!(visit);
    assert!(compared > 250, "only {compared} versions of messages are compared");
}

#[test]
fn error_codes_are_those_of_the_peer() {
    let mut differing = Vec::new();
    for number in 1..=126 {
        let Some(peer) = kafka_protocol::ResponseError::try_from_code(number) else { continue };
        if matches!(peer, kafka_protocol::ResponseError::Unknown(_)) {
            continue;
        }
        let ours = ErrorCode::from_code(number);
        assert_eq!(ours.name(), format!("{peer:?}"), "{number}");
        if ours.is_retriable() != peer.is_retriable() {
            differing.push(ours);
        }
    }
    // Kafka made it retriable after the release that the peer was generated from.
    assert_eq!(differing, [ErrorCode::ConcurrentTransactions]);
}
