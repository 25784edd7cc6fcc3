package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

func exchangeRecords(topic, codec string) []*kgo.Record {
	records := make([]*kgo.Record, 20)
	for i := range records {
		record := &kgo.Record{Topic: topic, Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(codec)}, {Key: "origin", Value: []byte("exchange")}}}
		if i != 19 {
			record.Key = fmt.Appendf(nil, "%s-%d", codec, i)
		}
		if i != 18 {
			record.Value = fmt.Appendf(nil, "%s %d %s", codec, i, strings.Repeat("x", 100))
		}
		records[i] = record
	}
	return records
}

func exchangeWrite(ctx context.Context, topic string) error {
	for _, codec := range codecs {
		if err := produce(ctx, exchangeRecords(topic, codec.name), kgo.ProducerBatchCompression(codec.codec)); err != nil {
			return fmt.Errorf("%s: %w", codec.name, err)
		}
	}
	return nil
}

func exchangeRead(ctx context.Context, topic string) error {
	var wanted []*kgo.Record
	for _, codec := range codecs {
		wanted = append(wanted, exchangeRecords(topic, codec.name)...)
	}
	records, err := readPartition(ctx, topic, kgo.NewOffset().AtStart(), len(wanted))
	if err != nil {
		return fmt.Errorf("%s: %w", topic, err)
	}
	for i, record := range records {
		if shown, want := show(record), show(wanted[i]); shown != want {
			return fmt.Errorf("%s: offset %d is %s instead of %s", topic, i, shown, want)
		}
	}
	return nil
}

// show tells null from empty, which %q alone does not.
func show(record *kgo.Record) string {
	text := fmt.Sprintf("key %q null=%t value %q null=%t", record.Key, record.Key == nil, record.Value, record.Value == nil)
	for _, header := range record.Headers {
		text += fmt.Sprintf(" %s=%q", header.Key, header.Value)
	}
	return text
}
