// Command suite runs franz-go (kgo and kadm) against any broker: see ../README.md for the protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type testCase struct {
	name string
	run  func(context.Context) error
}

var (
	bootstrap = strings.Split(os.Getenv("KLAMM_BOOTSTRAP"), ",")
	admin     *kadm.Client
)

func main() {
	arguments := append(os.Args[1:], "")
	ctx := context.Background()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.MetadataMinAge(100*time.Millisecond))
	exitOn(err)
	admin = kadm.NewClient(client)
	switch arguments[0] {
	case "exchange-write":
		exitOn(exchangeWrite(ctx, arguments[1]))
	case "exchange-read":
		for _, topic := range os.Args[2:] {
			exitOn(exchangeRead(ctx, topic))
		}
	case "member":
		joinGroup(ctx, arguments[1], arguments[2])
		select {}
	default:
		runCases(ctx, arguments[0])
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runCases(ctx context.Context, wanted string) {
	failed := 0
	for _, test := range append(groupCases(), clientCases()...) {
		if !strings.Contains(test.name, wanted) {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		if err := test.run(bounded); err != nil {
			failed++
			fmt.Printf("FAIL %s: %s\n", test.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok %s\n", test.name)
		}
		cancel()
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func unique(name string) string {
	return fmt.Sprintf("%s-%08x", name, rand.Uint32())
}

func create(ctx context.Context, name string, partitions int32, configs map[string]*string) (string, error) {
	topic := unique(name)
	if _, err := admin.CreateTopic(ctx, partitions, -1, configs, topic); err != nil {
		return topic, err
	}
	return topic, until(ctx, "leaders know that they lead "+topic, func() bool { return allLead(ctx, topic, partitions) })
}

// allLead asks the leaders: only a broker that leads a partition tells its end offset (see ../README.md).
func allLead(ctx context.Context, topic string, partitions int32) bool {
	ends, err := admin.ListEndOffsets(ctx, topic)
	return err == nil && ends.Error() == nil && len(ends[topic]) == int(partitions)
}

// until polls a condition for at most 30 s.
func until(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within 30 s: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func equal[T comparable](what string, actual, expected T) error {
	if actual != expected {
		return fmt.Errorf("%s: expected %v, got %v", what, expected, actual)
	}
	return nil
}

// produce sends the records in order and waits for all acknowledgements.
func produce(ctx context.Context, records []*kgo.Record, options ...kgo.Opt) error {
	defaults := []kgo.Opt{kgo.SeedBrokers(bootstrap...), kgo.UnknownTopicRetries(3), kgo.MetadataMinAge(100 * time.Millisecond)}
	client, err := kgo.NewClient(append(defaults, options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, records...).FirstErr()
}

// readPartition reads exactly count records of partition 0 from the given offset, outside any group.
func readPartition(ctx context.Context, topic string, from kgo.Offset, count int) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return records, fmt.Errorf("after %d of %d records: %w", len(records), count, err)
		}
		var failure error
		fetches.EachError(func(_ string, _ int32, err error) { failure = errors.Join(failure, err) })
		if failure != nil {
			return records, failure
		}
		records = append(records, fetches.Records()...)
	}
	return records, equal("records", len(records), count)
}
