//! Idempotent producers (KIP-98): each batch once, whoever leads and however often it is sent.

use anyhow::{Result, ensure};
use klamm_harness::{Client, Cluster, ProduceError};
use klamm_records::BatchBuilder;
use klamm_wire::ErrorCode;

const TOPIC: &str = "ledger";
/// Batches whose repetition a broker recognises.
const WINDOW: i32 = 5;

/// An idempotent producer that sends single records and decides on its sequence numbers itself.
struct Sender {
    client: Client,
    id: i64,
    epoch: i16,
}

impl Sender {
    fn new(cluster: &Cluster) -> Result<Self> {
        let mut client = cluster.client();
        let (id, epoch) = client.producer_id()?;
        Ok(Self { client, id, epoch })
    }

    /// Sends one record until the partition's leader gives an answer that stays.
    fn send(&mut self, epoch: i16, sequence: i32) -> Result<Result<i64, ErrorCode>> {
        let mut builder = BatchBuilder::new(0).producer(self.id, epoch, sequence);
        builder.push(1_700_000_000_000, None, Some(format!("{epoch}-{sequence}").as_bytes()), &[])?;
        let batch = builder.finish()?.freeze();
        klamm_harness::until(std::time::Duration::from_secs(20), "the leader answers", || {
            match self.client.produce_batch(TOPIC, 0, -1, batch.clone()) {
                Ok(offset) => Ok(Some(Ok(offset))),
                Err(ProduceError::Refused(code)) if !code.is_retriable() => Ok(Some(Err(code))),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn expect(&mut self, epoch: i16, sequence: i32, expected: Result<i64, ErrorCode>) -> Result<()> {
        let answer = self.send(epoch, sequence)?;
        ensure!(answer == expected, "epoch {epoch} sequence {sequence}: {answer:?} instead of {expected:?}");
        Ok(())
    }

    /// Everything that must hold after sequences 0 to `next` - 1 of the producer's epoch at the offsets of the same number.
    fn expect_memory(&mut self, next: i32) -> Result<()> {
        self.expect_memory_of(WINDOW, next)
    }

    /// The same where only the last `window` batches are remembered.
    fn expect_memory_of(&mut self, window: i32, next: i32) -> Result<()> {
        for sequence in next - window..next {
            self.expect(self.epoch, sequence, Ok(i64::from(sequence)))?;
        }
        self.expect(self.epoch, next + 1, Err(ErrorCode::OutOfOrderSequenceNumber))?;
        self.expect(self.epoch - 1, next, Err(ErrorCode::InvalidProducerEpoch))?;
        let end = self.client.offset_at(TOPIC, 0, -1)?;
        ensure!(end == i64::from(next), "refused and repeated batches moved the end to {end}, not {next}");
        Ok(())
    }
}

/// Sequences 0 to 7, in an epoch that has an older one.
fn eight_records(cluster: &Cluster) -> Result<Sender> {
    let mut sender = Sender::new(cluster)?;
    sender.epoch += 1;
    for sequence in 0..8 {
        sender.expect(sender.epoch, sequence, Ok(i64::from(sequence)))?;
    }
    Ok(sender)
}

#[test]
fn repeated_batches_have_their_first_offset_on_a_new_leader() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let mut sender = eight_records(&cluster)?;
    sender.expect_memory(8)?;
    let first = cluster.leader_of(TOPIC, 0)?;
    cluster.kill(first)?;
    ensure!(cluster.leader_of(TOPIC, 0)? != first, "somebody else leads");
    sender.expect_memory(8)?;
    sender.expect(sender.epoch, 8, Ok(8))?;
    cluster.restart(first)?;
    cluster.wait_ready()?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    // A clean change of leaders, and a leader that learnt the producer from its disk and from others.
    let second = cluster.leader_of(TOPIC, 0)?;
    cluster.terminate(second)?;
    sender.expect_memory(9)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn producers_are_remembered_over_a_power_cut_and_a_clean_stop() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let mut sender = eight_records(&cluster)?;
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    sender.expect_memory(8)?;
    sender.expect(sender.epoch, 8, Ok(8))?;
    cluster.terminate(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    // Kafka's snapshot of a clean stop has room for the last batch of each producer only.
    sender.expect_memory_of(1, 9)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn new_epoch_starts_at_sequence_0_and_fences_the_old_one() -> Result<()> {
    let cluster = Cluster::start(1)?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let mut sender = eight_records(&cluster)?;
    let next = sender.epoch + 1;
    sender.expect(next, 5, Err(ErrorCode::OutOfOrderSequenceNumber))?;
    sender.expect(next, 0, Ok(8))?;
    sender.expect(sender.epoch, 8, Err(ErrorCode::InvalidProducerEpoch))?;
    sender.expect(next, 1, Ok(9))?;
    cluster.succeed();
    Ok(())
}

#[test]
fn producer_ids_are_never_given_twice() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let mut ids = Vec::new();
    for round in 0..2 {
        for node in cluster.ids() {
            let mut client = Client::new(&cluster.address(node)?);
            for _ in 0..3 {
                ids.push(client.producer_id()?.0);
            }
        }
        if round == 0 {
            cluster.kill_all()?;
            for id in cluster.ids() {
                cluster.restart(id)?;
            }
            cluster.wait_ready()?;
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    ensure!(ids.len() == count, "{count} producers share the ids {ids:?}");
    cluster.succeed();
    Ok(())
}
