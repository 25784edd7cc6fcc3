//! Whatever the bytes are, decoding ends in a message or in an error.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[allow(dead_code, clippy::all)]
mod samples;

use bytes::Bytes;
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use klamm_wire::messages::produce_request::ProduceRequest;
use klamm_wire::{
    DecodeErrorKind, Decoder, Message, Str, decode_from_bytes, decode_request_header, encode_to_bytes,
};
use proptest::prelude::*;
use samples::Sampler;

#[test]
fn five_bytes_that_claim_two_billion_topics_are_refused() {
    let body = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    let error = decode_from_bytes::<MetadataRequest>(body, 9).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::LengthOutOfRange { length: 0x7fff_fffe, left: 0 });
    assert_eq!(error.path(), "MetadataRequest.Topics");
}

#[test]
fn an_error_names_the_field_down_to_the_element() {
    let name = |text: &'static str| MetadataRequestTopic { name: Some(text.into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![name("ok"), name("xx")]), ..Default::default() };
    let mut body = encode_to_bytes(&request, 1).unwrap().to_vec();
    let last = body.len() - 1;
    body[last] = 0xff;
    let error = decode_from_bytes::<MetadataRequest>(body.into(), 1).unwrap_err();
    assert_eq!(error.to_string(), "MetadataRequest.Topics[1].Name at byte 12: not UTF-8");
}

#[test]
fn negative_lengths_that_are_not_null_are_refused() {
    for count in [-2i32, i32::MIN] {
        let error = decode_from_bytes::<MetadataRequest>(count.to_be_bytes().to_vec().into(), 1).unwrap_err();
        assert!(matches!(error.kind(), DecodeErrorKind::LengthOutOfRange { .. }), "{error}");
    }
}

#[test]
fn null_is_refused_where_the_version_has_none() {
    let error = decode_from_bytes::<MetadataRequest>(Bytes::from_static(&[0xff; 4]), 0).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::UnexpectedNull);
}

#[test]
fn varints_that_are_over_long_or_too_large_are_refused() {
    for bytes in [&[0x80u8, 0x00][..], &[0xff, 0xff, 0xff, 0xff, 0x1f], &[0x80; 6]] {
        let error = Decoder::new(Bytes::copy_from_slice(bytes)).unsigned_varint("x").unwrap_err();
        assert_eq!(*error.kind(), DecodeErrorKind::MalformedVarint, "{bytes:?}");
    }
    for (bytes, value) in
        [(&[0u8][..], 0), (&[0x7f], 0x7f), (&[0x80, 1], 0x80), (&[255, 255, 255, 255, 15], u32::MAX)]
    {
        assert_eq!(Decoder::new(Bytes::copy_from_slice(bytes)).unsigned_varint("x").unwrap(), value);
    }
}

#[test]
fn a_tag_that_occurs_twice_is_refused() {
    // Two empty names, then the tagged fields: 200, 200, each without a value.
    let body = Bytes::from_static(&[1, 1, 2, 0xc8, 1, 0, 0xc8, 1, 0]);
    let error = decode_from_bytes::<ApiVersionsRequest>(body, 3).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::DuplicateTag(200));
}

#[test]
fn bytes_after_the_message_are_refused() {
    let mut body = encode_to_bytes(&ProduceRequest::default(), 9).unwrap().to_vec();
    body.push(0);
    let error = decode_from_bytes::<ProduceRequest>(body.into(), 9).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::TrailingBytes(1));
}

#[test]
fn a_string_is_a_slice_of_its_frame() {
    let request = ApiVersionsRequest {
        client_software_name: Str::from("a client"),
        client_software_version: Str::from("1"),
        ..Default::default()
    };
    let frame = encode_to_bytes(&request, 3).unwrap();
    let decoded: ApiVersionsRequest = decode_from_bytes(frame.clone(), 3).unwrap();
    assert_eq!(decoded.client_software_name.as_bytes().as_ptr(), frame[1..].as_ptr());
}

fn decode_all_versions<M: Message>(bytes: &Bytes) {
    for version in M::MIN..=M::MAX {
        let _ = decode_from_bytes::<M>(bytes.clone(), version);
    }
}

fn truncate_everywhere<M: Message>(seed: u64, sample: fn(&mut Sampler, i16) -> M) {
    for version in M::MIN..=M::MAX {
        let encoded = encode_to_bytes(&sample(&mut Sampler::new(seed), version), version).unwrap();
        for length in 0..encoded.len() {
            let result = decode_from_bytes::<M>(encoded.slice(..length), version);
            assert!(result.is_err(), "{} v{version} seed {seed}: complete with {length} bytes", M::NAME);
        }
    }
}

fn damage<M: Message>(seed: u64, sample: fn(&mut Sampler, i16) -> M) {
    let mut random = Sampler::new(!seed);
    for version in M::MIN..=M::MAX {
        let mut bytes = encode_to_bytes(&sample(&mut Sampler::new(seed), version), version).unwrap().to_vec();
        for _ in 0..3 {
            let at = random.below(bytes.len().max(1) as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        let _ = decode_from_bytes::<M>(bytes.into(), version);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                decode_all_versions::<klamm_wire::messages::$module::$name>(&bytes)
            };
        }
        for_every_message!(visit);
        let _ = decode_request_header(&mut Decoder::new(bytes));
    }

    #[test]
    fn damaged_messages_never_panic(seed: u64) {
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                damage(seed, samples::$module::sample)
            };
        }
        for_every_message!(visit);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_message_cut_short_at_any_length_is_refused(seed: u64) {
        macro_rules! visit {
            ($module:ident, $name:ident) => {
                truncate_everywhere(seed, samples::$module::sample)
            };
        }
        for_every_message!(visit);
    }
}
