//! DescribeCluster (60).

use klamm_wire::messages::describe_cluster_request::DescribeClusterRequest;
use klamm_wire::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use klamm_wire::{ErrorCode, Str};

use super::Context;
use crate::node::Node;

/// Endpoint type of brokers; controllers (2) are only described on their own listener.
const BROKERS: i8 = 1;

/// Answers from the image.
pub fn handle(node: &Node, context: &Context, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some(Str::from("this listener describes brokers: ask with endpoint type 1")),
            ..DescribeClusterResponse::default()
        };
    }
    let image = node.image();
    let listed = image.brokers().filter(|b| !b.fenced || request.include_fenced_brokers);
    let brokers: Vec<_> = listed
        .filter_map(|b| {
            let endpoint = b.listener(&context.peer.listener)?;
            Some(DescribeClusterBroker {
                broker_id: b.id,
                host: Str::copy_from(&endpoint.host),
                port: i32::from(endpoint.port),
                rack: b.rack.as_deref().map(Str::copy_from),
                is_fenced: b.fenced,
                ..DescribeClusterBroker::default()
            })
        })
        .collect();
    let first = brokers.first().map_or(-1, |b| b.broker_id);
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: node.cluster_id.clone(),
        controller_id: node.active_controller().unwrap_or(first),
        brokers,
        ..DescribeClusterResponse::default()
    }
}
