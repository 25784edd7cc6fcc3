//! Metadata records and the frame that carries them in the log and in snapshots.
//!
//! `records := format(u8 = 1) record*` and `record := type(i16) version(i16) length(u32) body`, big endian. The length
//! lets a reader step over a type or a version that it does not know; such a record is kept as
//! [`Record::Unknown`] and written back unchanged.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use klamm_wire::messages::config_record::ConfigRecord;
use klamm_wire::messages::disruption_end_record::DisruptionEndRecord;
use klamm_wire::messages::disruption_grant_record::DisruptionGrantRecord;
use klamm_wire::messages::feature_level_record::FeatureLevelRecord;
use klamm_wire::messages::fence_broker_record::FenceBrokerRecord;
use klamm_wire::messages::founding_record::FoundingRecord;
use klamm_wire::messages::no_op_record::NoOpRecord;
use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use klamm_wire::messages::partition_record::PartitionRecord;
use klamm_wire::messages::producer_ids_record::ProducerIdsRecord;
use klamm_wire::messages::register_broker_record::RegisterBrokerRecord;
use klamm_wire::messages::remove_topic_record::RemoveTopicRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use klamm_wire::messages::unfence_broker_record::UnfenceBrokerRecord;
use klamm_wire::messages::unregister_broker_record::UnregisterBrokerRecord;
use klamm_wire::{DecodeError, EncodeError, Message, decode_from_bytes, encode_to_bytes};

/// The only frame format so far; the first byte of every non-empty sequence of records.
const FORMAT: u8 = 1;
/// Bytes before a record's body: type, version and length.
const HEADER: usize = 8;

/// Why bytes are not a sequence of metadata records.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The first byte names a frame format that this version does not know.
    #[error("unknown format {0} of metadata records")]
    Format(u8),
    /// A frame ends before its stated length.
    #[error("metadata record frame is cut short: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the frame needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// The body of a known record type does not decode.
    #[error("metadata record of type {kind} is malformed: {source}")]
    Body {
        /// Record type number.
        kind: i16,
        /// What is wrong with the body.
        source: DecodeError,
    },
}

/// A record of a type or version from a newer Klamm, kept as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct UnknownRecord {
    /// Record type number.
    pub kind: i16,
    /// Version of the body.
    pub version: i16,
    /// The undecoded body.
    pub body: Bytes,
}

macro_rules! records {
    ($($kind:literal $variant:ident($message:ident)),+ $(,)?) => {
        /// One change of the cluster's state. Names and numbers are KRaft's, from 1000 up our own.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record {
            $(
                #[doc = concat!("`", stringify!($message), "`, type ", stringify!($kind), ".")]
                $variant($message),
            )+
            /// A type or version that this Klamm does not know; applying it changes nothing.
            Unknown(UnknownRecord),
        }

        impl Record {
            /// The record's type number.
            pub fn kind(&self) -> i16 {
                match self {
                    $(Record::$variant(_) => $kind,)+
                    Record::Unknown(unknown) => unknown.kind,
                }
            }

            fn encode_body(&self) -> Result<(i16, Bytes), EncodeError> {
                match self {
                    $(Record::$variant(message) => {
                        Ok(($message::MAX, encode_to_bytes(message, $message::MAX)?))
                    })+
                    Record::Unknown(unknown) => Ok((unknown.version, unknown.body.clone())),
                }
            }

            fn decode_body(kind: i16, version: i16, body: Bytes) -> Result<Record, DecodeError> {
                match kind {
                    $($kind if ($message::MIN..=$message::MAX).contains(&version) => {
                        decode_from_bytes(body, version).map(Record::$variant)
                    })+
                    _ => Ok(Record::Unknown(UnknownRecord { kind, version, body })),
                }
            }
        }

        $(impl From<$message> for Record {
            fn from(message: $message) -> Record {
                Record::$variant(message)
            }
        })+
    };
}

records! {
    0 RegisterBroker(RegisterBrokerRecord),
    1 UnregisterBroker(UnregisterBrokerRecord),
    2 Topic(TopicRecord),
    3 Partition(PartitionRecord),
    4 Config(ConfigRecord),
    5 PartitionChange(PartitionChangeRecord),
    7 FenceBroker(FenceBrokerRecord),
    8 UnfenceBroker(UnfenceBrokerRecord),
    9 RemoveTopic(RemoveTopicRecord),
    12 FeatureLevel(FeatureLevelRecord),
    15 ProducerIds(ProducerIdsRecord),
    17 BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    20 NoOp(NoOpRecord),
    1000 DisruptionGrant(DisruptionGrantRecord),
    1001 DisruptionEnd(DisruptionEndRecord),
    1002 Founding(FoundingRecord),
}

/// Encodes records in order. No records encode to no bytes.
pub fn encode_records(records: &[Record]) -> Bytes {
    let mut out = BytesMut::new();
    if !records.is_empty() {
        out.put_u8(FORMAT);
    }
    for record in records {
        // Strings come from decoded messages or are measured where they are made, and lengths are all that could fail.
        let (version, body) =
            record.encode_body().expect("strings of a metadata record are of protocol length");
        let length = u32::try_from(body.len()).expect("a metadata record is far below 4 GiB");
        out.reserve(HEADER + body.len());
        out.put_i16(record.kind());
        out.put_i16(version);
        out.put_u32(length);
        out.put_slice(&body);
    }
    out.freeze()
}

/// Decodes what [`encode_records`] wrote. Memory is bounded by a small multiple of the bytes given.
pub fn decode_records(mut bytes: Bytes) -> Result<Vec<Record>, RecordsError> {
    let mut records = Vec::new();
    if bytes.is_empty() {
        return Ok(records);
    }
    let format = bytes.get_u8();
    if format != FORMAT {
        return Err(RecordsError::Format(format));
    }
    while !bytes.is_empty() {
        records.push(decode_frame(&mut bytes)?);
    }
    Ok(records)
}

fn decode_frame(bytes: &mut Bytes) -> Result<Record, RecordsError> {
    need(bytes, HEADER)?;
    let kind = bytes.get_i16();
    let version = bytes.get_i16();
    let length = usize::try_from(bytes.get_u32()).unwrap_or(usize::MAX);
    need(bytes, length)?;
    let body = bytes.split_to(length);
    Record::decode_body(kind, version, body).map_err(|source| RecordsError::Body { kind, source })
}

fn need(bytes: &Bytes, needed: usize) -> Result<(), RecordsError> {
    let left = bytes.len();
    if left < needed { Err(RecordsError::Truncated { needed, left }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &'static str) -> Record {
        TopicRecord { name: name.into(), topic_id: uuid::Uuid::from_u128(7), ..Default::default() }.into()
    }

    #[test]
    fn records_survive_encoding() {
        let change = PartitionChangeRecord {
            partition_id: 3,
            isr: Some(vec![1, 2]),
            leader: -1,
            ..PartitionChangeRecord::default()
        };
        let records = vec![topic("a"), change.into(), Record::NoOp(NoOpRecord::default())];
        assert_eq!(decode_records(encode_records(&records)).unwrap(), records);
    }

    #[test]
    fn a_newer_record_is_stepped_over_and_written_back_unchanged() {
        let unknown_type = UnknownRecord { kind: 99, version: 4, body: Bytes::from_static(b"later") };
        let newer_version = UnknownRecord { kind: 2, version: 9, body: Bytes::from_static(b"topic v9") };
        let records = vec![Record::Unknown(unknown_type), topic("b"), Record::Unknown(newer_version)];
        let bytes = encode_records(&records);
        let decoded = decode_records(bytes.clone()).unwrap();
        assert_eq!(decoded, records);
        assert_eq!(encode_records(&decoded), bytes);
    }

    #[test]
    fn every_truncation_is_an_error_and_never_a_panic() {
        let bytes = encode_records(&[topic("a"), topic("b")]);
        let boundary = encode_records(&[topic("a")]).len();
        for cut in 2..bytes.len() {
            assert_eq!(decode_records(bytes.slice(..cut)).is_ok(), cut == boundary, "cut at {cut}");
        }
    }

    #[test]
    fn a_length_that_lies_is_refused() {
        let mut bytes = BytesMut::from(&encode_records(&[topic("a")])[..]);
        bytes[5..9].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(decode_records(bytes.freeze()), Err(RecordsError::Truncated { .. })));
        assert!(matches!(decode_records(Bytes::from_static(&[9])), Err(RecordsError::Format(9))));
    }
}
