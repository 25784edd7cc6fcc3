//! Metric names and their registry; exported as Prometheus text on `/metrics`.

use klamm_quorum::LogPositions;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Label of per-API figures: the API's name in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

/// Label of the positions of a controller's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PositionLabel {
    position: &'static str,
}

/// Of figures that not every process has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabel {}

/// Counters that requests update, and gauges filled in when they are read.
pub struct Metrics {
    registry: Registry,
    requests: Family<ApiLabel, Counter>,
    /// Record bytes appended by producers.
    pub bytes_in: Counter,
    /// Record bytes sent to consumers.
    pub bytes_out: Counter,
    /// Record bytes sent to followers.
    pub replication_bytes_out: Counter,
    /// Produced batches that were refused.
    pub produce_errors: Counter,
    throttled_out: Counter,
    throttled_in: Counter,
    partitions: Gauge,
    leaders: Gauge,
    under_replicated: Gauge,
    under_min_isr: Gauge,
    fenced: Gauge,
    active_controller: Gauge,
    metadata_offset: Gauge,
    kept_metadata_offset: Gauge,
    pulled_entries: Gauge,
    pulled_snapshots: Gauge,
    /// Empty where there is no controller.
    metadata_log: Family<PositionLabel, Gauge>,
    metadata_epoch: Family<NoLabel, Gauge>,
}

/// Figures that are read when `/metrics` is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Replicas on this broker.
    pub partitions: i64,
    /// Partitions that this broker leads.
    pub leaders: i64,
    /// Led partitions whose ISR is smaller than their replica set.
    pub under_replicated: i64,
    /// Led partitions whose ISR is smaller than `min.insync.replicas`.
    pub under_min_isr: i64,
    /// Whether the controller has fenced this broker.
    pub fenced: bool,
    /// Whether this node is the active controller.
    pub active_controller: bool,
    /// Offset of the metadata image.
    pub metadata_offset: i64,
    /// Offset of the metadata image on disk, -1 where there is none.
    pub kept_metadata_offset: i64,
    /// Metadata entries pulled from controllers.
    pub pulled_entries: u64,
    /// Metadata images pulled from controllers.
    pub pulled_snapshots: u64,
    /// Bytes of throttled partitions sent to followers that are out of sync, and fetched as one.
    pub throttled_bytes: (u64, u64),
    /// Epoch and positions of the metadata log, on a controller.
    pub metadata_log: Option<(i32, LogPositions)>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("klamm");
        let requests = Family::default();
        registry.register("requests", "Requests by API", requests.clone());
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
            counter
        };
        let bytes_in = counter(&mut registry, "produced", "Record bytes appended for producers");
        let bytes_out = counter(&mut registry, "consumed", "Record bytes sent to consumers");
        let replication_bytes_out = counter(&mut registry, "replicated", "Record bytes sent to followers");
        let throttled_out = counter(
            &mut registry,
            "throttled_out",
            "Record bytes of throttled partitions sent to followers out of sync",
        );
        let throttled_in = counter(
            &mut registry,
            "throttled_in",
            "Record bytes of throttled partitions fetched while out of sync",
        );
        let produce_errors = Counter::default();
        registry.register("produce_errors", "Produced batches that were refused", produce_errors.clone());
        let gauge = |registry: &mut Registry, name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let metadata_log = Family::default();
        let help = "Where this controller's metadata log is purged, held by a snapshot, applied, committed, and ends";
        registry.register("metadata_log_end_offset", help, metadata_log.clone());
        let metadata_epoch = Family::default();
        registry.register("metadata_epoch", "Leader epoch of this controller", metadata_epoch.clone());
        Self {
            metadata_log,
            metadata_epoch,
            partitions: gauge(&mut registry, "partitions", "Replicas on this broker"),
            leaders: gauge(&mut registry, "leader_partitions", "Partitions led by this broker"),
            under_replicated: gauge(
                &mut registry,
                "under_replicated_partitions",
                "Led partitions with a replica out of sync",
            ),
            under_min_isr: gauge(
                &mut registry,
                "under_min_isr_partitions",
                "Led partitions below min.insync.replicas",
            ),
            fenced: gauge(&mut registry, "broker_fenced", "1 while the controller has fenced this broker"),
            active_controller: gauge(&mut registry, "active_controller", "1 on the active controller"),
            metadata_offset: gauge(
                &mut registry,
                "metadata_offset",
                "Offset of the newest applied metadata record",
            ),
            kept_metadata_offset: gauge(
                &mut registry,
                "metadata_kept_offset",
                "Offset of the metadata image on a broker's disk, -1 where there is none",
            ),
            pulled_entries: gauge(
                &mut registry,
                "metadata_pulled_entries",
                "Metadata entries pulled from controllers since the start",
            ),
            pulled_snapshots: gauge(
                &mut registry,
                "metadata_pulled_snapshots",
                "Whole metadata images pulled from controllers since the start",
            ),
            registry,
            requests,
            bytes_in,
            bytes_out,
            replication_bytes_out,
            throttled_out,
            throttled_in,
            produce_errors,
        }
    }
}

impl Metrics {
    /// Counts a request of the API named `api`.
    pub fn request(&self, api: &'static str) {
        self.requests.get_or_create(&ApiLabel { api }).inc();
    }

    /// The exposition text.
    pub fn text(&self, now: Snapshot) -> String {
        self.partitions.set(now.partitions);
        self.leaders.set(now.leaders);
        self.under_replicated.set(now.under_replicated);
        self.under_min_isr.set(now.under_min_isr);
        self.fenced.set(i64::from(now.fenced));
        self.active_controller.set(i64::from(now.active_controller));
        self.metadata_offset.set(now.metadata_offset);
        self.kept_metadata_offset.set(now.kept_metadata_offset);
        self.pulled_entries.set(i64::try_from(now.pulled_entries).unwrap_or(i64::MAX));
        self.pulled_snapshots.set(i64::try_from(now.pulled_snapshots).unwrap_or(i64::MAX));
        let (sent, fetched) = now.throttled_bytes;
        raise(&self.throttled_out, sent);
        raise(&self.throttled_in, fetched);
        if let Some((epoch, log)) = now.metadata_log {
            self.set_metadata_log(epoch, log);
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing into a String cannot fail.
            Err(_) => String::new(),
        }
    }

    fn set_metadata_log(&self, epoch: i32, log: LogPositions) {
        self.metadata_epoch.get_or_create(&NoLabel {}).set(i64::from(epoch));
        let LogPositions { purged, snapshot, applied, committed, log_end } = log;
        for (position, offset) in [
            ("purged", purged),
            ("snapshot", snapshot),
            ("applied", applied),
            ("committed", committed),
            ("log", log_end),
        ] {
            self.metadata_log.get_or_create(&PositionLabel { position }).set(offset);
        }
    }
}

/// Brings a counter up to a total that is counted elsewhere.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
