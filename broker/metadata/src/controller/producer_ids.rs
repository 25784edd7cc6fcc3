//! AllocateProducerIds: blocks of producer ids for brokers to hand out.

use klamm_wire::ErrorCode;
use klamm_wire::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use klamm_wire::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use klamm_wire::messages::producer_ids_record::ProducerIdsRecord;

use super::draft::Draft;
use super::heartbeats::registered;

/// Producer ids in one block.
pub const PRODUCER_ID_BLOCK: i32 = 1_000;

/// Decides AllocateProducerIds (67).
pub(super) fn allocate(
    draft: &mut Draft<'_>,
    request: &AllocateProducerIdsRequest,
) -> AllocateProducerIdsResponse {
    match try_allocate(draft, request) {
        Ok(start) => AllocateProducerIdsResponse {
            producer_id_start: start,
            producer_id_len: PRODUCER_ID_BLOCK,
            ..Default::default()
        },
        Err(error) => AllocateProducerIdsResponse { error_code: error.code(), ..Default::default() },
    }
}

fn try_allocate(draft: &mut Draft<'_>, request: &AllocateProducerIdsRequest) -> Result<i64, ErrorCode> {
    let broker = registered(draft, request.broker_id, request.broker_epoch)?;
    let start = draft.image().next_producer_id();
    let next = start.checked_add(i64::from(PRODUCER_ID_BLOCK)).ok_or(ErrorCode::UnknownServerError)?;
    draft.push(ProducerIdsRecord {
        broker_id: broker.id,
        broker_epoch: broker.epoch,
        next_producer_id: next,
        ..ProducerIdsRecord::default()
    });
    Ok(start)
}
