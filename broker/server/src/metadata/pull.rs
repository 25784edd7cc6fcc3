//! A broker that is no controller pulls committed metadata from one (our API key 1010).

use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::{Image, decode_records};
use klamm_wire::messages::metadata_fetch_request::MetadataFetchRequest;
use klamm_wire::messages::metadata_fetch_response::MetadataFetchResponse;
use klamm_wire::{ErrorCode, Str};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::config::listeners::Voter;
use crate::metadata::kept::Kept;
use crate::net::client::Connection;

/// Time to connect to a controller.
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a controller may hold an answer when there is nothing new.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How much later than that it may come.
const CALL_GRACE: Duration = Duration::from_millis(500);
/// Bytes of one answer.
const MAX_BYTES: i32 = 8 << 20;
/// How long a controller without news may be without a leader: longer than an election takes.
const LEADERLESS: Duration = Duration::from_secs(1);
/// Pause after a controller could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The configured controllers, and those that the quorum tells of besides. For a node in both the configuration has the
/// address; an address without an id is known no longer once the quorum has told of a controller there.
pub fn known_controllers(configured: &[Voter], told: impl Iterator<Item = Voter>) -> Arc<[Voter]> {
    let mut known: Vec<Voter> = configured.to_vec();
    for controller in told.filter(|told| told.port != 0) {
        let is_here = |other: &Voter| other.id == controller.id;
        if !known.iter().any(is_here) {
            known.retain(|other| {
                other.id >= 0 || (&other.host, other.port) != (&controller.host, controller.port)
            });
            known.push(controller);
        }
    }
    known.into()
}

/// Follows the metadata log.
pub struct Puller {
    cluster_id: Str,
    node_id: i32,
    configured: Vec<Voter>,
    controllers: watch::Sender<Arc<[Voter]>>,
    image: watch::Sender<Arc<Image>>,
    leader: watch::Sender<Option<i32>>,
    kept: Arc<Kept>,
    /// Why the image here cannot be of this quorum's log, as a controller said since the last one that said nothing of that kind.
    foreign: Option<String>,
    /// Controllers that were tried in vain since the last one that went on with the image here.
    turned_from: usize,
    /// Whether the last answer went on with it.
    goes_on: bool,
    /// Since when the controller that is followed has had no leader and nothing new.
    leaderless: Option<Instant>,
    /// Next entry wanted: one past the last that came, with or without records. Never the high watermark, which may be
    /// ahead of what the controller has applied and sends.
    next: i64,
}

impl Puller {
    /// A puller that begins with the `configured` controllers and publishes those that it hears of into `controllers`, into
    /// `image` what it pulls behind what is there, and the active controller's id into `leader`.
    pub fn new(
        cluster_id: Str,
        node_id: i32,
        configured: Vec<Voter>,
        controllers: watch::Sender<Arc<[Voter]>>,
        image: watch::Sender<Arc<Image>>,
        leader: watch::Sender<Option<i32>>,
        kept: Arc<Kept>,
    ) -> Self {
        let next = image.borrow().offset() + 1;
        let (foreign, turned_from, goes_on, leaderless) = (None, 0, false, None);
        Self {
            cluster_id,
            node_id,
            configured,
            controllers,
            image,
            leader,
            kept,
            foreign,
            turned_from,
            goes_on,
            leaderless,
            next,
        }
    }

    /// Pulls until `stop` is cancelled, from one controller after another.
    pub async fn run(mut self, stop: CancellationToken) {
        for turn in 0.. {
            let known = Arc::clone(&self.controllers.borrow());
            let Some(voter) = known.get(turn % known.len().max(1)) else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow(voter) => {
                    if let Err(error) = ended {
                        debug!(controller = voter.id, %error, "metadata pull ended; trying the next controller");
                    }
                    if self.turn_away(known.len()) {
                        // What another controller has must not get into this image, either.
                        stop.cancelled().await;
                        return;
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// A controller is left for the next one of so many. True when the image here is given up: no controller has gone on with
    /// it, and one or more have a log that it cannot be of. One alone proves nothing: a controller that came back with
    /// the disk of a quorum that was given up says the same of an image that is right.
    fn turn_away(&mut self, controllers: usize) -> bool {
        self.turned_from += usize::from(!std::mem::take(&mut self.goes_on));
        if self.turned_from >= controllers
            && let Some(reason) = self.foreign.take()
        {
            self.kept.disown(reason);
        }
        self.kept.disowned().borrow().is_some()
    }

    async fn follow(&mut self, voter: &Voter) -> Result<(), String> {
        let client_id = Str::from(format!("klamm-broker-{}", self.node_id));
        let mut connection = Connection::connect(&voter.host, voter.port, &client_id, DIAL_TIMEOUT)
            .await
            .map_err(|e| e.to_string())?;
        self.leaderless = None;
        loop {
            let request = MetadataFetchRequest {
                cluster_id: self.cluster_id.clone(),
                node_id: self.node_id,
                offset: self.next,
                max_wait_ms: i32::try_from(MAX_WAIT.as_millis()).unwrap_or(i32::MAX),
                max_bytes: MAX_BYTES,
                last_epoch: self.image.borrow().epoch(),
                ..MetadataFetchRequest::default()
            };
            let response =
                connection.call(0, &request, MAX_WAIT + CALL_GRACE).await.map_err(|e| e.to_string())?;
            self.take(response)?;
        }
    }

    fn take(&mut self, response: MetadataFetchResponse) -> Result<(), String> {
        let error = ErrorCode::from_code(response.error_code);
        if error == ErrorCode::FencedLeaderEpoch {
            let image = Arc::clone(&self.image.borrow());
            let (offset, epoch) = (image.offset(), image.epoch());
            self.looks_foreign(format!("a controller has another epoch than {epoch} at offset {offset}"));
        }
        if error != ErrorCode::None {
            warn!(%error, "metadata fetch refused");
            return Err(error.to_string());
        }
        self.check_founding(response.founding_id)?;
        let leader = (response.leader_id >= 0).then_some(response.leader_id);
        let told = response.controllers.iter().map(|c| Voter {
            id: c.node_id,
            host: c.host.to_string(),
            port: c.port,
        });
        let known = known_controllers(&self.configured, told);
        self.controllers.send_if_modified(|before| {
            let is_new = **before != *known;
            *before = known;
            is_new
        });
        self.leader.send_if_modified(|known| std::mem::replace(known, leader) != leader);
        let (mut image, mut next) = ((**self.image.borrow()).clone(), self.next);
        let before = image.offset();
        self.kept.pulled(response.batches.len(), usize::from(response.snapshot.is_some()));
        if let Some(snapshot) = response.snapshot {
            image = Image::from_snapshot(snapshot).map_err(|e| e.to_string())?;
            next = response.snapshot_offset + 1;
        }
        for batch in response.batches {
            let records = decode_records(batch.records).map_err(|e| e.to_string())?;
            image.apply(batch.offset, batch.epoch, &records);
            next = batch.offset + 1;
        }
        // Not before all of it is understood: what is not published would never be asked for again.
        self.next = next;
        (self.foreign, self.turned_from, self.goes_on) = (None, 0, true);
        let is_news = image.offset() != before;
        if is_news {
            self.image.send_replace(Arc::new(image));
        }
        self.check_leader(leader.is_some() || is_news)
    }

    /// Leaves a controller that has long been out of the quorum and has nothing new: it would never say what others decide.
    fn check_leader(&mut self, is_of_use: bool) -> Result<(), String> {
        if is_of_use {
            self.leaderless = None;
            return Ok(());
        }
        match self.leaderless.get_or_insert_with(Instant::now).elapsed() {
            time if time < LEADERLESS => Ok(()),
            time => Err(format!("it has known of no leader of the quorum for {time:?}")),
        }
    }

    /// Refuses what comes from a log of another founding, before anything of it is mixed into the image here.
    fn check_founding(&mut self, theirs: Uuid) -> Result<(), String> {
        let image = Arc::clone(&self.image.borrow());
        if !image.is_foreign_to((!theirs.is_nil()).then_some(theirs)) {
            return Ok(());
        }
        let ours = image.founding().map_or_else(|| "not recorded".to_owned(), |id| id.to_string());
        let reason = format!("the quorum was founded anew: its founding is {theirs}, the one here is {ours}");
        self.looks_foreign(reason.clone());
        Err(reason)
    }

    fn looks_foreign(&mut self, reason: String) {
        (self.foreign, self.goes_on) = (Some(reason), false);
    }
}

#[cfg(test)]
mod tests {
    use klamm_metadata::{Record, encode_records};
    use klamm_wire::messages::founding_record::FoundingRecord;
    use klamm_wire::messages::metadata_fetch_response::MetadataBatch;
    use klamm_wire::messages::topic_record::TopicRecord;

    use super::*;

    const OLD: Uuid = Uuid::from_u128(1);
    const NEW: Uuid = Uuid::from_u128(2);

    fn founding(founding_id: Uuid) -> Record {
        FoundingRecord { founding_id, ..FoundingRecord::default() }.into()
    }

    fn topic(name: &'static str) -> Record {
        let topic_id = Uuid::from_u128(u128::from(name.as_bytes()[0]));
        TopicRecord { name: name.into(), topic_id, ..TopicRecord::default() }.into()
    }

    /// A puller whose image is at offset 5 in epoch 1.
    fn puller(records: &[Record]) -> (Puller, watch::Receiver<Arc<Image>>) {
        let mut kept = Image::empty();
        kept.apply(5, 1, records);
        let (image, images) = watch::channel(Arc::new(kept));
        let (controllers, leader) = (watch::Sender::new(Arc::default()), watch::Sender::new(None));
        let kept = Arc::new(Kept::default());
        (Puller::new("cluster".into(), 0, Vec::new(), controllers, image, leader, kept), images)
    }

    /// What a controller sends whose log goes on in the epoch of the image.
    fn next(founding_id: Uuid, records: &[Record]) -> MetadataFetchResponse {
        let batch =
            MetadataBatch { offset: 6, epoch: 1, records: encode_records(records), ..Default::default() };
        MetadataFetchResponse { founding_id, batches: vec![batch], ..Default::default() }
    }

    fn names(images: &watch::Receiver<Arc<Image>>) -> Vec<String> {
        images.borrow().topic_names().map(str::to_owned).collect()
    }

    #[test]
    fn nothing_of_another_founding_gets_into_the_image() {
        for kept in [vec![founding(OLD), topic("a")], vec![founding(OLD)], vec![topic("a")]] {
            let (mut puller, images) = puller(&kept);
            let before = Arc::clone(&images.borrow());
            puller.take(next(NEW, &[topic("b")])).unwrap_err();
            assert_eq!(*images.borrow(), before);
            assert!(puller.turn_away(1), "{kept:?} is to be given up");
        }
    }

    #[test]
    fn one_controller_of_a_quorum_that_was_given_up_does_not_take_the_image_from_a_broker() {
        let (mut puller, images) = puller(&[founding(NEW), topic("a")]);
        let is_given_up = |puller: &mut Puller, says: Uuid| {
            let _ = puller.take(next(says, &[]));
            puller.turn_away(3)
        };
        for _ in 0..3 {
            assert!(!is_given_up(&mut puller, OLD) && !is_given_up(&mut puller, OLD));
            assert!(!is_given_up(&mut puller, NEW), "another one goes on with it");
        }
        assert!(!is_given_up(&mut puller, OLD) && !puller.turn_away(3), "the second cannot be reached");
        assert!(is_given_up(&mut puller, OLD), "none goes on with it");
        assert_eq!(names(&images), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_is_out_of_the_quorum_and_has_nothing_new_is_left() {
        let (mut puller, images) = puller(&[topic("a")]);
        let says = |leader_id, batches: Vec<MetadataBatch>| MetadataFetchResponse {
            leader_id,
            batches,
            ..Default::default()
        };
        puller.take(says(-1, Vec::new())).expect("an election is under way");
        tokio::time::advance(LEADERLESS / 2).await;
        puller.take(says(3, Vec::new())).expect("it has a leader again");
        puller.take(says(-1, Vec::new())).unwrap();
        tokio::time::advance(LEADERLESS).await;
        puller.take(says(-1, next(Uuid::nil(), &[topic("b")]).batches)).expect("it has news");
        assert_eq!(names(&images), ["a", "b"]);
        puller.take(says(-1, Vec::new())).unwrap();
        tokio::time::advance(LEADERLESS).await;
        puller.take(says(-1, Vec::new())).unwrap_err();
        assert!(!puller.turn_away(1), "what it has is right, and kept");
    }

    #[test]
    fn what_came_before_a_batch_that_is_broken_is_asked_for_again() {
        let (mut puller, images) = puller(&[topic("a")]);
        let broken =
            MetadataBatch { offset: 7, epoch: 1, records: vec![0xff; 3].into(), ..Default::default() };
        let mut response = next(Uuid::nil(), &[topic("b")]);
        response.batches.push(broken);
        puller.take(response).unwrap_err();
        assert_eq!((names(&images), puller.next), (vec!["a".to_owned()], 6));
    }

    #[test]
    fn no_image_of_another_founding_replaces_the_one_here() {
        let (mut puller, images) = puller(&[founding(OLD), topic("a")]);
        let mut other = Image::empty();
        other.apply(90, 1, &[founding(NEW), topic("b")]);
        let response = MetadataFetchResponse {
            founding_id: NEW,
            snapshot_offset: 90,
            snapshot: Some(other.to_snapshot()),
            ..Default::default()
        };
        puller.take(response).unwrap_err();
        assert_eq!(names(&images), ["a"]);
    }

    #[test]
    fn the_log_of_the_same_founding_goes_on_and_one_without_is_taken_as_before() {
        let cases = [
            (vec![founding(OLD), topic("a")], OLD),
            (vec![founding(OLD), topic("a")], Uuid::nil()),
            (vec![topic("a")], Uuid::nil()),
        ];
        for (kept, theirs) in cases {
            let (mut puller, images) = puller(&kept);
            puller.take(next(theirs, &[topic("b")])).unwrap();
            assert_eq!(names(&images), ["a", "b"], "{kept:?}");
            assert!(puller.kept.disowned().borrow().is_none());
        }
    }

    #[test]
    fn a_broker_that_is_there_before_the_first_record_takes_the_founding() {
        let (mut puller, images) = puller(&[]);
        puller.take(next(NEW, &[founding(NEW), topic("b")])).unwrap();
        assert_eq!(images.borrow().founding(), Some(NEW));
        puller.take(MetadataFetchResponse { founding_id: NEW, ..Default::default() }).unwrap();
        assert_eq!(names(&images), ["b"]);
    }
}
