package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer of a group that reads until it is closed.
type member struct {
	client *kgo.Client
	done   chan struct{}

	mu       sync.Mutex
	assigned map[int32]bool
	records  []*kgo.Record
}

func joinGroup(ctx context.Context, group, topic string, options ...kgo.Opt) *member {
	m := &member{assigned: map[int32]bool{}, done: make(chan struct{})}
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, partition := range partitions[topic] {
				if owned {
					m.assigned[partition] = true
				} else {
					delete(m.assigned, partition)
				}
			}
		}
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100 * time.Millisecond), kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.AutoCommitInterval(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, options...)...)
	exitOn(err)
	m.client = client
	go m.read(ctx)
	return m
}

func (m *member) read(ctx context.Context) {
	defer close(m.done)
	for {
		fetches := m.client.PollFetches(ctx)
		if fetches.IsClientClosed() || ctx.Err() != nil {
			return
		}
		m.mu.Lock()
		m.records = append(m.records, fetches.Records()...)
		m.mu.Unlock()
	}
}

func (m *member) close() {
	m.client.Close()
	<-m.done
}

func (m *member) state() (partitions []int32, records []*kgo.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for partition := range m.assigned {
		partitions = append(partitions, partition)
	}
	return partitions, slices.Clone(m.records)
}

func read(members []*member) (records []*kgo.Record) {
	for _, m := range members {
		_, own := m.state()
		records = append(records, own...)
	}
	return records
}

// awaitSpread waits until the members share all partitions evenly.
func awaitSpread(ctx context.Context, members []*member, partitions int) error {
	return until(ctx, fmt.Sprintf("%d members share %d partitions", len(members), partitions), func() bool {
		owned, least, most := map[int32]int{}, partitions, 0
		for _, m := range members {
			own, _ := m.state()
			least, most = min(least, len(own)), max(most, len(own))
			for _, partition := range own {
				owned[partition]++
			}
		}
		for _, owners := range owned {
			if owners != 1 {
				return false
			}
		}
		return len(owned) == partitions && most-least <= 1
	})
}

func keyed(topic, writer string) (records []*kgo.Record) {
	for round := range 5 {
		for key := range 40 {
			records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s-%d", writer, key), Value: fmt.Append(nil, round)})
		}
	}
	return records
}

func startTeam(ctx context.Context, topic string, size int) (members []*member) {
	group := unique("group")
	for range size {
		members = append(members, joinGroup(ctx, group, topic))
	}
	return members
}

// flow lets producers write keyed records and asserts that every group reads all of them, each key in order.
func flow(partitions, consumers, producers, groups int) func(context.Context) error {
	return func(ctx context.Context) error {
		topic, err := create(ctx, "flow", int32(partitions), nil)
		if err != nil {
			return err
		}
		var teams [][]*member
		for range groups {
			teams = append(teams, startTeam(ctx, topic, consumers))
		}
		for _, team := range teams {
			if err := awaitSpread(ctx, team, partitions); err != nil {
				return err
			}
		}
		results := make(chan error, producers)
		for writer := range producers {
			go func() { results <- produce(ctx, keyed(topic, fmt.Sprintf("producer%d", writer))) }()
		}
		for range producers {
			err = errors.Join(err, <-results)
		}
		for _, team := range teams {
			err = errors.Join(err, assertTeam(ctx, team, partitions, 200*producers))
		}
		return err
	}
}

func assertTeam(ctx context.Context, team []*member, partitions, total int) error {
	if err := until(ctx, fmt.Sprintf("%d records read", total), func() bool { return len(read(team)) >= total }); err != nil {
		return err
	}
	err := equal("records", len(read(team)), total)
	idle := 0
	for _, m := range team {
		own, records := m.state()
		if len(own) == 0 {
			idle++
			err = errors.Join(err, equal("records of an idle consumer", len(records), 0))
		}
		next := map[string]int{}
		for _, record := range records {
			value, _ := strconv.Atoi(string(record.Value))
			err = errors.Join(err, equal("next value of "+string(record.Key), value, next[string(record.Key)]))
			next[string(record.Key)]++
		}
		for key, count := range next {
			err = errors.Join(err, equal("values of "+key, count, 5))
		}
		m.close()
	}
	return errors.Join(err, equal("idle consumers", idle, max(0, len(team)-partitions)))
}

func consumerJoins(ctx context.Context) error {
	topic, err := create(ctx, "join", 2, nil)
	if err != nil {
		return err
	}
	group := unique("join")
	first := joinGroup(ctx, group, topic)
	if err := awaitSpread(ctx, []*member{first}, 2); err != nil {
		return err
	}
	second := joinGroup(ctx, group, topic)
	both := []*member{first, second}
	if err := awaitSpread(ctx, both, 2); err != nil {
		return err
	}
	if err := produce(ctx, keyed(topic, "after")); err != nil {
		return err
	}
	err = until(ctx, "both read everything", func() bool { return len(read(both)) == 200 })
	first.close()
	err = errors.Join(err, awaitSpread(ctx, []*member{second}, 2))
	second.close()
	return err
}

func consumerDies(ctx context.Context) error {
	topic, err := create(ctx, "die", 2, nil)
	if err != nil {
		return err
	}
	group := unique("die")
	survivor := joinGroup(ctx, group, topic)
	defer survivor.close()
	victim := exec.Command(os.Args[0], "member", group, topic)
	if err := victim.Start(); err != nil {
		return err
	}
	defer func() { _ = victim.Process.Kill(); _ = victim.Wait() }()
	err = until(ctx, "the other process takes a partition", func() bool { own, _ := survivor.state(); return len(own) == 1 })
	if err != nil {
		return err
	}
	if err := victim.Process.Kill(); err != nil {
		return err
	}
	if err := produce(ctx, keyed(topic, "while-dead")); err != nil {
		return err
	}
	if err := awaitSpread(ctx, []*member{survivor}, 2); err != nil {
		return err
	}
	return until(ctx, "the survivor reads everything", func() bool {
		distinct := map[[2]int64]bool{}
		for _, record := range read([]*member{survivor}) {
			distinct[[2]int64{int64(record.Partition), record.Offset}] = true
		}
		return len(distinct) == 200
	})
}

func partitionsAreAdded(ctx context.Context) error {
	topic, err := create(ctx, "grow", 2, nil)
	if err != nil {
		return err
	}
	members := startTeam(ctx, topic, 2)
	if err := awaitSpread(ctx, members, 2); err != nil {
		return err
	}
	updated, err := admin.UpdatePartitions(ctx, 4, topic)
	if err = errors.Join(err, updated.Error()); err != nil {
		return err
	}
	if err := awaitSpread(ctx, members, 4); err != nil {
		return err
	}
	var records []*kgo.Record
	for n := range 40 {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(n % 4), Value: []byte("v")})
	}
	if err := produce(ctx, records, kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		return err
	}
	err = until(ctx, "all four partitions are read", func() bool { return len(read(members)) == 40 })
	for _, m := range members {
		m.close()
	}
	return err
}

func manualCommitIsFoundAgain(ctx context.Context) error {
	topic, err := create(ctx, "commit", 1, nil)
	if err != nil {
		return err
	}
	if err := produce(ctx, numbered(topic, 10)); err != nil {
		return err
	}
	group := unique("commit")
	first := joinGroup(ctx, group, topic, kgo.DisableAutoCommit())
	if err := until(ctx, "read", func() bool { return len(read([]*member{first})) == 10 }); err != nil {
		return err
	}
	if err := first.client.CommitRecords(ctx, read([]*member{first})[3]); err != nil {
		return err
	}
	first.close()
	again := joinGroup(ctx, group, topic, kgo.DisableAutoCommit())
	defer again.close()
	if err := until(ctx, "the rest is read", func() bool { return len(read([]*member{again})) == 6 }); err != nil {
		return err
	}
	return equal("first value after the commit", string(read([]*member{again})[0].Value), "4")
}

func groupsAreDescribed(ctx context.Context) error {
	topic, err := create(ctx, "groups", 2, nil)
	if err != nil {
		return err
	}
	if err := produce(ctx, keyed(topic, "p")); err != nil {
		return err
	}
	group := unique("groups")
	reader := joinGroup(ctx, group, topic)
	if err := awaitSpread(ctx, []*member{reader}, 2); err != nil {
		return err
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	described, describeErr := admin.DescribeGroups(ctx, group)
	err = errors.Join(describeErr, equal("listed", slices.Contains(listed.Groups(), group), true),
		equal("state", described[group].State, "Stable"), equal("members", len(described[group].Members), 1))
	assigned := described.AssignedPartitions()
	err = errors.Join(err, equal("assigned partitions", len(assigned[topic]), 2))
	err = errors.Join(err, until(ctx, "lag is zero once everything is committed", func() bool {
		lags, err := admin.Lag(ctx, group)
		lag := lags[group].Lag.Total()
		return err == nil && lags.Error() == nil && lag == 0 && len(lags[group].Lag[topic]) == 2
	}))
	reader.close()
	return errors.Join(err, groupOffsetsAreAltered(ctx, group, topic))
}

func groupOffsetsAreAltered(ctx context.Context, group, topic string) error {
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 3, -1)
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	found, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	err = equal("altered offset", found[topic][0].At, int64(3))
	deleted, deleteErr := admin.DeleteOffsets(ctx, group, kadm.TopicsSet{topic: {0: {}}})
	err = errors.Join(err, deleteErr, deleted.Error())
	_, deleteErr = admin.DeleteGroup(ctx, group)
	err = errors.Join(err, deleteErr)
	return errors.Join(err, until(ctx, "the group is gone", func() bool {
		listed, err := admin.ListGroups(ctx)
		return err == nil && !slices.Contains(listed.Groups(), group)
	}))
}

func groupCases() []testCase {
	return []testCase{
		{"flow_two_partitions_two_consumers", flow(2, 2, 1, 1)},
		{"flow_two_partitions_three_consumers_one_idle", flow(2, 3, 1, 1)},
		{"flow_three_partitions_two_consumers_two_producers", flow(3, 2, 2, 1)},
		{"flow_four_partitions_one_consumer", flow(4, 1, 1, 1)},
		{"flow_three_partitions_two_groups_of_two", flow(3, 2, 1, 2)},
		{"rebalance_when_a_consumer_joins", consumerJoins},
		{"rebalance_when_a_consumer_dies", consumerDies},
		{"rebalance_when_partitions_are_added", partitionsAreAdded},
		{"manual_commit_is_found_again", manualCommitIsFoundAgain},
		{"groups_are_listed_described_altered_and_deleted", groupsAreDescribed},
	}
}
