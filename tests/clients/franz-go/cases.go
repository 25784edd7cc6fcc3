package main

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func numbered(topic string, count int) (records []*kgo.Record) {
	for n := range count {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Append(nil, n)})
	}
	return records
}

func random(size int) []byte {
	value := make([]byte, size)
	_, _ = crand.Read(value)
	return value
}

func idempotentProducer(ctx context.Context) error {
	topic, err := create(ctx, "idempotent", 1, nil)
	if err != nil {
		return err
	}
	if err := produce(ctx, numbered(topic, 2000), kgo.ProducerBatchMaxBytes(1000)); err != nil {
		return err
	}
	records, err := readPartition(ctx, topic, kgo.NewOffset().AtStart(), 2000)
	for n, record := range records {
		err = errors.Join(err, equal("value", string(record.Value), strconv.Itoa(n)), equal("offset", record.Offset, int64(n)))
	}
	return err
}

func withoutIdempotence(ctx context.Context) error {
	topic, err := create(ctx, "acks", 1, nil)
	if err != nil {
		return err
	}
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		if err := produce(ctx, numbered(topic, 1), kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite()); err != nil {
			return err
		}
	}
	_, err = readPartition(ctx, topic, kgo.NewOffset().AtStart(), 3)
	return err
}

func nullsAndHeaders(ctx context.Context) error {
	topic, err := create(ctx, "nulls", 1, nil)
	if err != nil {
		return err
	}
	written := []*kgo.Record{
		{Topic: topic, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "empty", Value: []byte{}}, {Key: "null"}}},
		{Topic: topic, Key: []byte{}, Value: []byte{}},
	}
	if err := produce(ctx, written); err != nil {
		return err
	}
	read, err := readPartition(ctx, topic, kgo.NewOffset().AtStart(), 2)
	if err != nil {
		return err
	}
	for n, record := range read {
		err = errors.Join(err, equal("record", show(record), show(written[n])))
	}
	headers := read[0].Headers
	return errors.Join(err, equal("empty header is null", headers[2].Value == nil, false), equal("null header is null", headers[3].Value == nil, true))
}

func largeMessage(ctx context.Context) error {
	topic, err := create(ctx, "large", 1, nil)
	if err != nil {
		return err
	}
	value := random(1_048_000)
	client := kgo.ProducerBatchMaxBytes(2_000_000)
	if err := produce(ctx, []*kgo.Record{{Topic: topic, Value: value}}, client); err != nil {
		return err
	}
	read, err := readPartition(ctx, topic, kgo.NewOffset().AtStart(), 1)
	if err != nil {
		return err
	}
	if !bytes.Equal(read[0].Value, value) {
		return errors.New("other bytes were read")
	}
	err = produce(ctx, []*kgo.Record{{Topic: topic, Value: random(1_500_000)}}, client, kgo.ProducerBatchCompression(kgo.NoCompression()))
	if !errors.Is(err, kerr.MessageTooLarge) {
		return fmt.Errorf("1.5 MB: expected MESSAGE_TOO_LARGE, got %v", err)
	}
	return nil
}

func lookupByTime(ctx context.Context) error {
	topic, err := create(ctx, "time", 1, map[string]*string{"retention.ms": kadm.StringPtr("-1")})
	if err != nil {
		return err
	}
	records := numbered(topic, 5)
	for n, record := range records {
		record.Timestamp = time.UnixMilli(1_600_000_000_000 + int64(n)*1000)
	}
	if err := produce(ctx, records); err != nil {
		return err
	}
	after, err := admin.ListOffsetsAfterMilli(ctx, 1_600_000_001_500, topic)
	start, startErr := admin.ListStartOffsets(ctx, topic)
	end, endErr := admin.ListEndOffsets(ctx, topic)
	latest, latestErr := admin.ListMaxTimestampOffsets(ctx, topic)
	return errors.Join(err, startErr, endErr, latestErr, equal("between", after[topic][0].Offset, 2), equal("start", start[topic][0].Offset, 0),
		equal("end", end[topic][0].Offset, 5), equal("largest timestamp", latest[topic][0].Offset, 4))
}

func deletedRecords(ctx context.Context) error {
	topic, err := create(ctx, "delete-records", 1, nil)
	if err != nil {
		return err
	}
	if err := produce(ctx, numbered(topic, 10)); err != nil {
		return err
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 6, -1)
	deleted, err := admin.DeleteRecords(ctx, offsets)
	if err = errors.Join(err, deleted.Error()); err != nil {
		return err
	}
	records, err := readPartition(ctx, topic, kgo.NewOffset().AtStart(), 4)
	if err != nil {
		return err
	}
	return equal("first offset that is left", records[0].Offset, 6)
}

func topicLifecycle(ctx context.Context) error {
	topic, err := create(ctx, "lifecycle", 3, map[string]*string{"retention.ms": kadm.StringPtr("3600000")})
	if err != nil {
		return err
	}
	err = until(ctx, "the topic is listed with three partitions", func() bool {
		listed, err := admin.ListTopics(ctx, topic)
		return err == nil && len(listed[topic].Partitions) == 3
	})
	if _, again := admin.CreateTopic(ctx, 1, -1, nil, topic); !errors.Is(again, kerr.TopicAlreadyExists) {
		err = errors.Join(err, fmt.Errorf("created twice: %v", again))
	}
	if _, slash := admin.CreateTopic(ctx, 1, -1, nil, "with/slash"); !errors.Is(slash, kerr.InvalidTopicException) {
		err = errors.Join(err, fmt.Errorf("topic with a slash: %v", slash))
	}
	if _, deleteErr := admin.DeleteTopic(ctx, topic); deleteErr != nil {
		return errors.Join(err, deleteErr)
	}
	return errors.Join(err, until(ctx, "the topic is gone", func() bool {
		listed, err := admin.ListTopics(ctx)
		return err == nil && !listed.Has(topic)
	}))
}

func topicConfigs(ctx context.Context) error {
	topic, err := create(ctx, "configs", 1, nil)
	if err != nil {
		return err
	}
	set := func(value string) error {
		altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, topic)
		return errors.Join(err, altered[0].Err)
	}
	if err := set("123456"); err != nil {
		return err
	}
	if err := set("soon"); !errors.Is(err, kerr.InvalidConfig) {
		return fmt.Errorf("a bad value: %v", err)
	}
	return until(ctx, "retention.ms was altered", func() bool {
		described, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil || len(described) != 1 {
			return false
		}
		for _, config := range described[0].Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue() == "123456"
			}
		}
		return false
	})
}

func clusterIsDescribed(ctx context.Context) error {
	metadata, err := admin.BrokerMetadata(ctx)
	versions, versionsErr := admin.ApiVersions(ctx)
	dirs, dirsErr := admin.DescribeAllLogDirs(ctx, nil)
	err = errors.Join(err, versionsErr, dirsErr, equal("has a cluster id", metadata.Cluster != "", true))
	for _, broker := range metadata.Brokers {
		answer := versions[broker.NodeID]
		err = errors.Join(err, answer.Err, dirs[broker.NodeID].Error(), equal("log directories", len(dirs[broker.NodeID]), 1))
		produceMax, found := answer.KeyMaxVersion(0)
		err = errors.Join(err, equal("produce is advertised, version 7 or later", found && produceMax >= 7, true))
	}
	return err
}

func unknownTopic(ctx context.Context) error {
	err := produce(ctx, numbered(unique("never-created"), 1))
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("expected UNKNOWN_TOPIC_OR_PARTITION, got %v", err)
	}
	return nil
}

func clientCases() []testCase {
	return []testCase{
		{"idempotent_producer_keeps_order_and_count", idempotentProducer},
		{"acks_zero_one_and_all_are_stored", withoutIdempotence},
		{"keys_values_and_headers_may_be_null", nullsAndHeaders},
		{"large_message_passes_and_a_larger_one_is_refused", largeMessage},
		{"lookup_by_time", lookupByTime},
		{"deleted_records_are_gone", deletedRecords},
		{"topics_are_created_described_and_deleted", topicLifecycle},
		{"configurations_are_altered_and_described", topicConfigs},
		{"cluster_versions_and_log_directories_are_described", clusterIsDescribed},
		{"unknown_topic_is_an_error", unknownTopic},
	}
}
