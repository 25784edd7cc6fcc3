//! InitProducerId (22) for idempotent producers; ids come from blocks that the controller hands out.

use std::sync::Arc;

use klamm_wire::ErrorCode;
use klamm_wire::messages::init_producer_id_request::InitProducerIdRequest;
use klamm_wire::messages::init_producer_id_response::InitProducerIdResponse;

use crate::node::Node;

/// A fresh id with epoch 0, or the same id with the next epoch for a producer that recovers (KIP-360).
pub async fn handle(node: Arc<Node>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return failed(ErrorCode::TransactionalIdNotFound);
    }
    if request.producer_id >= 0 && request.producer_epoch >= 0 && request.producer_epoch < i16::MAX - 1 {
        return InitProducerIdResponse {
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch + 1,
            ..InitProducerIdResponse::default()
        };
    }
    match node.producer_ids.next().await {
        Ok(producer_id) => {
            InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }
        }
        Err(error) => failed(error),
    }
}

fn failed(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
