//! Headers and whole frames, as they are on the wire.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::messages::api_versions_response::ApiVersionsResponse;
use klamm_wire::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use klamm_wire::messages::heartbeat_response::HeartbeatResponse;
use klamm_wire::messages::join_group_response::JoinGroupResponse;
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::metadata_response::MetadataResponse;
use klamm_wire::messages::offset_delete_request::OffsetDeleteRequest;
use klamm_wire::messages::offset_fetch_response::{OffsetFetchResponse, OffsetFetchResponseGroup};
use klamm_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_wire::{
    DecodeErrorKind, Decoder, EncodeError, Message, Part, Records, RequestHeader, Segment, decode_from_bytes,
    decode_request_header, decode_response_header, encode_request_frame, encode_response_frame,
    encode_to_bytes,
};

fn contiguous(segments: &[Segment]) -> Bytes {
    let mut whole = BytesMut::new();
    for segment in segments {
        match segment {
            Segment::Bytes(bytes) => whole.put_slice(bytes),
            Segment::External { length, .. } => whole.put_bytes(0xee, *length as usize),
        }
    }
    whole.freeze()
}

fn header(api_version: i16) -> RequestHeader {
    RequestHeader { api_version, correlation_id: 7, client_id: Some("me".into()), ..RequestHeader::default() }
}

#[test]
fn a_request_frame_is_read_back_with_its_header() {
    for version in [8, 9] {
        let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
        let frame = contiguous(&encode_request_frame(&header(version), &request).unwrap());
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        let mut decoder = Decoder::new(frame.slice(4..));
        let found = decode_request_header(&mut decoder).unwrap();
        assert_eq!(found, RequestHeader { api_key: 3, ..header(version) });
        let body = decode_from_bytes::<MetadataRequest>(decoder.into_remaining(), version).unwrap();
        assert_eq!(body, request);
    }
}

#[test]
fn a_request_header_has_tagged_fields_only_in_flexible_versions() {
    let length = |version| {
        contiguous(&encode_request_frame(&header(version), &ProduceRequest::default()).unwrap()).len()
    };
    let body = |version| encode_to_bytes(&ProduceRequest::default(), version).unwrap().len();
    assert_eq!(length(8), 4 + 8 + 4 + body(8));
    assert_eq!(length(9), 4 + 8 + 4 + 1 + body(9));
    let plain = contiguous(&encode_request_frame(&header(0), &OffsetDeleteRequest::default()).unwrap());
    assert_eq!(plain.len(), 4 + 8 + 4 + encode_to_bytes(&OffsetDeleteRequest::default(), 0).unwrap().len());
}

#[test]
fn a_response_header_has_tagged_fields_in_flexible_versions_but_never_for_api_versions() {
    let frame =
        |version| contiguous(&encode_response_frame(12, version, 9, &HeartbeatResponse::default()).unwrap());
    assert_eq!(frame(3).len(), 4 + 4 + 6);
    assert_eq!(frame(4).len(), 4 + 4 + 1 + 6 + 1);
    let (correlation, body) = decode_response_header(12, 4, frame(4).slice(4..)).unwrap();
    assert_eq!((correlation, body.len()), (9, 7));

    let response = ApiVersionsResponse::default();
    for version in 0..=4 {
        let frame = contiguous(&encode_response_frame(18, version, 9, &response).unwrap());
        assert_eq!(frame.slice(8..), encode_to_bytes(&response, version).unwrap());
        let (correlation, body) = decode_response_header(18, version, frame.slice(4..)).unwrap();
        assert_eq!((correlation, body), (9, frame.slice(8..)));
    }
}

#[test]
fn api_versions_of_an_unknown_version_still_yields_its_header() {
    let mut frame = BytesMut::new();
    frame.put_i16(18);
    frame.put_i16(99);
    frame.put_i32(5);
    let bare = frame.clone().freeze();
    frame.put_slice(&[0, 1, b'c', 0, 1, 2, 3]);
    let found = decode_request_header(&mut Decoder::new(frame.freeze())).unwrap();
    assert_eq!((found.api_version, found.correlation_id, found.client_id.as_deref()), (99, 5, Some("c")));
    let found = decode_request_header(&mut Decoder::new(bare)).unwrap();
    assert_eq!((found.api_version, found.correlation_id, found.client_id), (99, 5, None));
}

#[test]
fn an_unknown_key_is_refused_by_number() {
    let mut frame = BytesMut::new();
    frame.put_i16(4);
    frame.put_slice(&[0; 8]);
    let error = decode_request_header(&mut Decoder::new(frame.freeze())).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::UnknownApi(4));
}

#[test]
fn an_api_versions_request_as_librdkafka_sends_it_is_read() {
    let frame =
        Bytes::from_static(b"\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07rdkafka\x00\x0blibrdkafka\x062.3.0\x00");
    let mut decoder = Decoder::new(frame);
    let header = decode_request_header(&mut decoder).unwrap();
    assert_eq!(header.client_id.as_deref(), Some("rdkafka"));
    let request = ApiVersionsRequest::decode(&mut decoder, 3).unwrap();
    assert_eq!((&*request.client_software_name, &*request.client_software_version), ("librdkafka", "2.3.0"));
    decoder.finish().unwrap();
}

#[test]
fn produced_records_are_a_slice_of_the_frame() {
    let records = Bytes::from(vec![1; 5000]);
    let partition = PartitionProduceData { records: Some(records), ..PartitionProduceData::default() };
    let topic = TopicProduceData { partition_data: vec![partition], ..TopicProduceData::default() };
    let request = ProduceRequest { topic_data: vec![topic], ..ProduceRequest::default() };
    for version in ProduceRequest::MIN..=ProduceRequest::MAX {
        let frame = encode_to_bytes(&request, version).unwrap();
        let decoded: ProduceRequest = decode_from_bytes(frame.clone(), version).unwrap();
        let found = decoded.topic_data[0].partition_data[0].records.clone().unwrap();
        assert!(frame.as_ptr_range().contains(&found.as_ptr()), "v{version}");
    }
}

fn fetched(records: Vec<Records>) -> FetchResponse {
    let partitions = records
        .into_iter()
        .map(|records| PartitionData {
            records,
            current_leader: LeaderIdAndEpoch { leader_id: 3, leader_epoch: 4, ..LeaderIdAndEpoch::default() },
            ..PartitionData::default()
        })
        .collect();
    let topic = FetchableTopicResponse { partitions, ..FetchableTopicResponse::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

#[test]
fn fetched_records_are_sent_from_where_they_are() {
    let cached = Bytes::from(vec![7; 4096]);
    let parts = vec![
        Part::Bytes(cached.clone()),
        Part::External { index: 0, length: 100_000 },
        Part::Bytes(Bytes::from_static(b"small")),
        Part::External { index: 1, length: 9 },
    ];
    let response = fetched(vec![Records::Bytes(cached.clone()), Records::Parts(parts)]);
    for version in FetchResponse::MIN..=FetchResponse::MAX {
        let segments = encode_response_frame(1, version, 1, &response).unwrap();
        let whole = contiguous(&segments);
        assert_eq!(whole[..4], (whole.len() as i32 - 4).to_be_bytes(), "v{version}");
        let uncopied = |s: &&Segment| matches!(s, Segment::Bytes(b) if b.as_ptr() == cached.as_ptr());
        assert_eq!(segments.iter().filter(uncopied).count(), 2, "v{version}");
        let external: Vec<_> = segments.iter().filter(|s| matches!(s, Segment::External { .. })).collect();
        assert_eq!(
            external,
            [&Segment::External { index: 0, length: 100_000 }, &Segment::External { index: 1, length: 9 }]
        );
        let (_, body) = decode_response_header(1, version, whole.slice(4..)).unwrap();
        let decoded: FetchResponse = decode_from_bytes(body, version).unwrap();
        let lengths: Vec<_> = decoded.responses[0].partitions.iter().map(|p| p.records.len()).collect();
        assert_eq!(lengths, [4096, 4096 + 100_000 + 5 + 9], "v{version}");
    }
}

#[test]
fn a_partition_without_data_has_empty_records_not_null() {
    for version in FetchResponse::MIN..=FetchResponse::MAX {
        for empty in [Records::default(), Records::Parts(Vec::new())] {
            let bytes = encode_to_bytes(&fetched(vec![empty]), version).unwrap();
            let decoded: FetchResponse = decode_from_bytes(bytes, version).unwrap();
            assert_eq!(decoded.responses[0].partitions[0].records, Records::EMPTY, "v{version}");
        }
    }
}

#[test]
fn a_tagged_field_longer_than_one_byte_of_size_keeps_segments_in_place() {
    let mut response = fetched(vec![Records::Bytes(Bytes::from(vec![1; 2000]))]);
    response.unknown_tagged_fields =
        vec![(100, Bytes::from(vec![2; 3000])), (101, Bytes::from(vec![3; 200]))];
    response.node_endpoints = (0..20)
        .map(|node_id| klamm_wire::messages::fetch_response::NodeEndpoint {
            node_id,
            host: "a-broker-with-a-long-name.example".into(),
            port: 9092,
            ..Default::default()
        })
        .collect();
    let bytes = encode_to_bytes(&response, 18).unwrap();
    assert_eq!(decode_from_bytes::<FetchResponse>(bytes, 18).unwrap(), response);
}

#[test]
fn external_records_cannot_become_contiguous_bytes() {
    let response = fetched(vec![Records::Parts(vec![Part::External { index: 0, length: 1 }])]);
    assert_eq!(encode_to_bytes(&response, 12), Err(EncodeError::External));
}

#[test]
fn a_value_that_an_old_version_would_lose_is_refused_unless_it_may_be_ignored() {
    let group = OffsetFetchResponseGroup { group_id: "g".into(), ..OffsetFetchResponseGroup::default() };
    let batched = OffsetFetchResponse { groups: vec![group], ..OffsetFetchResponse::default() };
    assert_eq!(encode_to_bytes(&batched, 7), Err(EncodeError::Absent { field: "Groups", version: 7 }));
    let throttled = MetadataResponse { throttle_time_ms: 5, ..MetadataResponse::default() };
    assert!(encode_to_bytes(&throttled, 0).is_ok());
}

#[test]
fn join_group_without_a_protocol_is_empty_text_before_null_existed() {
    let response = JoinGroupResponse { protocol_name: None, ..JoinGroupResponse::default() };
    for (version, expected) in [(6, Some("")), (7, None)] {
        let bytes = encode_to_bytes(&response, version).unwrap();
        let decoded: JoinGroupResponse = decode_from_bytes(bytes, version).unwrap();
        assert_eq!(decoded.protocol_name.as_deref(), expected, "v{version}");
    }
}

#[test]
fn unknown_tagged_fields_out_of_order_are_refused() {
    let tags = vec![(101, Bytes::new()), (100, Bytes::new())];
    let response = HeartbeatResponse { unknown_tagged_fields: tags, ..HeartbeatResponse::default() };
    assert_eq!(encode_to_bytes(&response, 4), Err(EncodeError::TagOutOfOrder(100)));
}

#[test]
fn text_longer_than_the_format_allows_is_refused() {
    let header = RequestHeader { client_id: Some("x".repeat(40_000).into()), ..header(9) };
    let result = encode_request_frame(&header, &MetadataRequest::default());
    assert_eq!(result, Err(EncodeError::TooLong { field: "ClientId", length: 40_000 }));
}
