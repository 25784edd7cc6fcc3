//! An image as bytes and back: a short header, then the records that rebuild it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_wire::Str;
use klamm_wire::messages::config_record::ConfigRecord;
use klamm_wire::messages::feature_level_record::FeatureLevelRecord;
use klamm_wire::messages::founding_record::FoundingRecord;
use klamm_wire::messages::producer_ids_record::ProducerIdsRecord;
use klamm_wire::messages::topic_record::TopicRecord;

use super::{ConfigResource, Image};
use crate::{Record, RecordsError, decode_records, encode_records};

const FORMAT: u8 = 1;
/// Format byte, offset and epoch.
const HEADER: usize = 13;

/// Why bytes are not a snapshot of an image.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Shorter than the header.
    #[error("a metadata snapshot of {0} bytes is too short")]
    TooShort(usize),
    /// Written in a format that this version does not know.
    #[error("unknown format {0} of a metadata snapshot")]
    Format(u8),
    /// The records do not decode.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl Image {
    /// The whole image with its offset and epoch. Equal images give equal bytes.
    pub fn to_snapshot(&self) -> Bytes {
        let records = encode_records(&self.to_records());
        let mut out = BytesMut::with_capacity(HEADER + records.len());
        out.put_u8(FORMAT);
        out.put_i64(self.offset);
        out.put_i32(self.epoch);
        out.put_slice(&records);
        out.freeze()
    }

    /// Rebuilds the image that [`Image::to_snapshot`] wrote.
    pub fn from_snapshot(mut bytes: Bytes) -> Result<Image, SnapshotError> {
        if bytes.len() < HEADER {
            return Err(SnapshotError::TooShort(bytes.len()));
        }
        let format = bytes.get_u8();
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let (offset, epoch) = (bytes.get_i64(), bytes.get_i32());
        let mut image = Image::empty();
        image.apply(offset, epoch, &decode_records(bytes)?);
        Ok(image)
    }

    fn to_records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        records.extend(
            self.founding.map(|founding_id| FoundingRecord { founding_id, ..Default::default() }.into()),
        );
        for (name, level) in self.features.iter() {
            let name = Str::copy_from(name);
            records.push(FeatureLevelRecord { name, feature_level: *level, ..Default::default() }.into());
        }
        if self.next_producer_id != 0 {
            records.push(self.producer_ids_record());
        }
        records.extend(self.brokers.values().map(|broker| broker.to_record().into()));
        records.extend(self.disruptions.values().map(|granted| granted.to_record().into()));
        for topic in self.topics.values() {
            let name = Str::copy_from(&topic.name);
            records.push(TopicRecord { name, topic_id: topic.id, ..Default::default() }.into());
            let partitions = topic.partitions.iter();
            records.extend(partitions.map(|(id, partition)| partition.to_record(topic.id, *id).into()));
        }
        for (resource, configs) in self.configs.iter() {
            records.extend(
                configs
                    .iter()
                    .map(|(name, value)| config_record(resource, name, Some(value.as_str())).into()),
            );
        }
        records
    }

    fn producer_ids_record(&self) -> Record {
        let next_producer_id = self.next_producer_id;
        ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id, ..Default::default() }.into()
    }
}

/// The record that sets (or, without a value, deletes) one configuration.
pub(crate) fn config_record(resource: &ConfigResource, name: &str, value: Option<&str>) -> ConfigRecord {
    let (resource_type, resource_name) = resource.to_parts();
    ConfigRecord {
        resource_type,
        resource_name: resource_name.into(),
        name: Str::copy_from(name),
        value: value.map(Str::copy_from),
        ..ConfigRecord::default()
    }
}
