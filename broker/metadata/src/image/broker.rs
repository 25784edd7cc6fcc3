//! A registered broker as the image holds it.

use klamm_wire::Str;
use klamm_wire::messages::register_broker_record::{
    BrokerEndpoint, BrokerFeature as FeatureRecord, RegisterBrokerRecord,
};
use uuid::Uuid;

/// Where one listener of a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Listener name.
    pub name: String,
    /// Advertised host name; resolved at each dial.
    pub host: String,
    /// Advertised port.
    pub port: u16,
    /// Kafka's `SecurityProtocol` id: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The range of levels of one feature that a broker supports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFeature {
    /// Feature name.
    pub name: String,
    /// Lowest level.
    pub min: i16,
    /// Highest level.
    pub max: i16,
}

/// A broker's latest registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// The offset of the registration; fences requests of earlier registrations.
    pub epoch: i64,
    /// Identifies the process that registered.
    pub incarnation: Uuid,
    /// Directory ids of its log directories.
    pub directories: Vec<Uuid>,
    /// Listeners that it advertises.
    pub listeners: Vec<Endpoint>,
    /// Features that it supports.
    pub features: Vec<BrokerFeature>,
    /// Its failure domain.
    pub rack: Option<String>,
    /// A fenced broker leads nothing and is in no ISR.
    pub fenced: bool,
    /// Set from the begin of a controlled shutdown until the next registration.
    pub in_controlled_shutdown: bool,
}

impl Broker {
    /// Whether the broker may become a leader and join an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The endpoint of a listener.
    pub fn listener(&self, name: &str) -> Option<&Endpoint> {
        self.listeners.iter().find(|endpoint| endpoint.name == name)
    }

    pub(super) fn from_record(record: &RegisterBrokerRecord) -> Broker {
        Broker {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation: record.incarnation_id,
            directories: record.log_dirs.clone(),
            listeners: record.end_points.iter().map(Endpoint::from_record).collect(),
            features: record.features.iter().map(BrokerFeature::from_record).collect(),
            rack: record.rack.as_ref().map(|rack| rack.to_string()),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
        }
    }

    pub(crate) fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id,
            incarnation_id: self.incarnation,
            broker_epoch: self.epoch,
            end_points: self.listeners.iter().map(Endpoint::to_record).collect(),
            features: self.features.iter().map(BrokerFeature::to_record).collect(),
            rack: self.rack.as_deref().map(Str::copy_from),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.directories.clone(),
            ..RegisterBrokerRecord::default()
        }
    }
}

impl Endpoint {
    fn from_record(record: &BrokerEndpoint) -> Endpoint {
        Endpoint {
            name: record.name.to_string(),
            host: record.host.to_string(),
            port: record.port,
            security_protocol: record.security_protocol,
        }
    }

    fn to_record(&self) -> BrokerEndpoint {
        BrokerEndpoint {
            name: Str::copy_from(&self.name),
            host: Str::copy_from(&self.host),
            port: self.port,
            security_protocol: self.security_protocol,
            ..BrokerEndpoint::default()
        }
    }
}

impl BrokerFeature {
    fn from_record(record: &FeatureRecord) -> BrokerFeature {
        BrokerFeature {
            name: record.name.to_string(),
            min: record.min_supported_version,
            max: record.max_supported_version,
        }
    }

    fn to_record(&self) -> FeatureRecord {
        FeatureRecord {
            name: Str::copy_from(&self.name),
            min_supported_version: self.min,
            max_supported_version: self.max,
            ..FeatureRecord::default()
        }
    }
}
