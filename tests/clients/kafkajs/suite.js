// kafkajs, which still speaks the protocol of Kafka 2: produce, consume, groups, rebalances, administration.
const assert = require("node:assert/strict");
const { fork } = require("node:child_process");
const crypto = require("node:crypto");
const { AssignerProtocol, ConfigResourceTypes, Kafka, logLevel } = require("kafkajs");
require("./codecs");

const brokers = process.env.KLAMM_BOOTSTRAP.split(",");
const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 8 } });
const admin = kafka.admin();
const producer = kafka.producer({ metadataMaxAge: 1000 });

const unique = (name) => `${name}-${crypto.randomUUID().slice(0, 8)}`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition, what, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    const value = await condition();
    if (value) return value;
    await sleep(50);
  }
  throw new Error(`not within ${seconds} s: ${what}`);
}

async function create(name, numPartitions = 1, configEntries = []) {
  const topic = unique(name);
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: -1, configEntries }], waitForLeaders: true });
  await until(() => allLead(topic, numPartitions), `leaders know that they lead ${topic}`);
  return topic;
}

const notYet = ["UNKNOWN_TOPIC_OR_PARTITION", "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE"];

/** Only a broker that leads a partition tells its end offset (see ../README.md). A client of its own: none forgets topics it has asked for. */
async function allLead(topic, partitions) {
  const asking = kafka.admin();
  await asking.connect();
  try {
    return (await asking.fetchTopicOffsets(topic)).length === partitions;
  } catch (error) {
    if (notYet.includes(error.type ?? error.cause?.type)) return false;
    throw error;
  } finally {
    await asking.disconnect();
  }
}

/** A group member that reads until it is stopped; `records` has {partition, offset, key, value, headers}. */
class Member {
  static async start(groupId, topic, options = {}) {
    const member = new Member();
    member.records = [];
    member.assigned = [];
    member.consumer = kafka.consumer({
      groupId, sessionTimeout: 6000, heartbeatInterval: 500, metadataMaxAge: 1000, maxWaitTimeInMs: 100, ...options.consumer,
    });
    member.consumer.on(member.consumer.events.GROUP_JOIN, ({ payload }) => {
      member.assigned = payload.memberAssignment[topic] || [];
    });
    member.consumer.on(member.consumer.events.REBALANCING, () => (member.assigned = []));
    member.consumer.on(member.consumer.events.CRASH, ({ payload }) => (member.error = payload.error));
    await member.consumer.connect();
    await member.consumer.subscribe({ topic, fromBeginning: options.fromBeginning ?? true });
    await member.consumer.run({
      autoCommit: options.autoCommit ?? true,
      autoCommitInterval: 100,
      eachMessage: async ({ partition, message }) => {
        member.records.push({ partition, ...message, key: text(message.key), value: text(message.value) });
      },
    });
    return member;
  }

  stop() {
    return this.consumer.disconnect();
  }
}

const text = (bytes) => (bytes === null ? null : bytes.toString());

function spread(members, partitions) {
  for (const member of members) if (member.error) throw member.error;
  const owned = members.flatMap((member) => member.assigned).sort();
  const sizes = members.map((member) => member.assigned.length);
  return owned.join() === [...Array(partitions).keys()].join() && Math.max(...sizes) - Math.min(...sizes) <= 1;
}

const awaitSpread = (members, partitions) => until(() => spread(members, partitions), `${members.length} members share ${partitions} partitions`);

function keyed(writer, keys = 40, rounds = 5) {
  return Array.from({ length: keys * rounds }, (_, n) => ({ key: `${writer}-${n % keys}`, value: `${Math.floor(n / keys)}` }));
}

const total = (members) => members.reduce((sum, member) => sum + member.records.length, 0);

async function flow(partitions, consumers, producers = 1, groups = 1) {
  const topic = await create("flow", partitions);
  const teams = await Promise.all(Array.from({ length: groups }, () => {
    const groupId = unique("flow");
    return Promise.all(Array.from({ length: consumers }, () => Member.start(groupId, topic)));
  }));
  for (const team of teams) await awaitSpread(team, partitions);
  const sent = Array.from({ length: producers }, (_, n) => keyed(`producer${n}`));
  await Promise.all(sent.map(async (messages) => {
    const writer = kafka.producer();
    await writer.connect();
    for (let n = 0; n < messages.length; n += 20) await writer.send({ topic, messages: messages.slice(n, n + 20) });
    await writer.disconnect();
  }));
  const keys = new Set(sent.flat().map((message) => message.key));
  for (const team of teams) {
    await until(() => total(team) >= sent.flat().length, "the group has read everything");
    const read = new Map([...keys].map((key) => [key, []]));
    for (const member of team) for (const record of member.records) read.get(record.key).push(record.value);
    for (const [key, values] of read) assert.deepEqual(values, ["0", "1", "2", "3", "4"], `values of ${key} in order`);
    await awaitSpread(team, partitions);
    const idle = team.filter((member) => member.assigned.length === 0);
    assert.equal(idle.length, Math.max(0, consumers - partitions), "idle consumers");
    for (const member of idle) assert.equal(member.records.length, 0, "records of an idle consumer");
    await Promise.all(team.map((member) => member.stop()));
  }
}

const cases = {
  flow_two_partitions_two_consumers: () => flow(2, 2),
  flow_two_partitions_three_consumers_one_idle: () => flow(2, 3),
  flow_three_partitions_two_consumers_two_producers: () => flow(3, 2, 2),
  flow_four_partitions_one_consumer: () => flow(4, 1),
  flow_three_partitions_two_groups_of_two: () => flow(3, 2, 1, 2),

  async rebalance_when_a_consumer_joins() {
    const topic = await create("join", 2);
    const group = unique("join");
    const first = await Member.start(group, topic);
    await awaitSpread([first], 2);
    const second = await Member.start(group, topic);
    await awaitSpread([first, second], 2);
    await producer.send({ topic, messages: keyed("after") });
    await until(() => total([first, second]) === 200, "both read");
    assert.ok(first.records.length && second.records.length, "each reads its share");
    await first.stop();
    await second.stop();
  },

  async rebalance_when_a_consumer_dies() {
    const topic = await create("die", 2);
    const group = unique("die");
    const survivor = await Member.start(group, topic);
    const victim = fork(__filename, ["member", group, topic]);
    await until(() => survivor.assigned.length === 1, "the other process takes a partition");
    victim.kill("SIGKILL");
    await producer.send({ topic, messages: keyed("while-dead") });
    await awaitSpread([survivor], 2);
    await until(() => new Set(survivor.records.map((r) => `${r.partition}/${r.offset}`)).size === 200, "the survivor reads everything");
    await survivor.stop();
  },

  async rebalance_when_partitions_are_added() {
    const topic = await create("grow", 2);
    const group = unique("grow");
    const members = [await Member.start(group, topic), await Member.start(group, topic)];
    await awaitSpread(members, 2);
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] });
    await awaitSpread(members, 4);
    const writer = kafka.producer();
    await writer.connect();
    for (const partition of [0, 1, 2, 3]) await writer.send({ topic, messages: Array.from({ length: 10 }, () => ({ value: "v", partition })) });
    await until(() => total(members) === 40, "all four partitions are read");
    await writer.disconnect();
    await Promise.all(members.map((member) => member.stop()));
  },

  async manual_commit_is_found_again() {
    const topic = await create("commit");
    const group = unique("commit");
    await producer.send({ topic, messages: Array.from({ length: 10 }, (_, n) => ({ value: `${n}` })) });
    const first = await Member.start(group, topic, { autoCommit: false });
    await until(() => first.records.length === 10, "read");
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: "4", metadata: "by hand" }]);
    await first.stop();
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    assert.deepEqual(partitions, [{ partition: 0, offset: "4", metadata: "by hand" }]);
    const again = await Member.start(group, topic, { autoCommit: false });
    await until(() => again.records.length === 6, "the rest is read");
    assert.deepEqual(again.records.map((record) => record.value), ["4", "5", "6", "7", "8", "9"]);
    await again.stop();
  },

  async groups_are_independent() {
    const topic = await create("independent");
    await producer.send({ topic, messages: [{ value: "a" }, { value: "b" }] });
    for (const group of [unique("left"), unique("right")]) {
      const member = await Member.start(group, topic);
      await until(() => member.records.length === 2, `${group} reads everything`);
      await member.stop();
    }
  },

  async offset_reset_latest_skips_what_was_there() {
    const topic = await create("latest");
    await producer.send({ topic, messages: [{ value: "old" }] });
    const member = await Member.start(unique("latest"), topic, { fromBeginning: false });
    await awaitSpread([member], 1);
    await until(async () => {
      await producer.send({ topic, messages: [{ value: "new" }] });
      return member.records.length > 0;
    }, "a new record");
    assert.equal(member.records[0].value, "new");
    await member.stop();
  },

  async idempotent_producer_keeps_order_and_count() {
    const topic = await create("idempotent");
    const writer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await writer.connect();
    for (let n = 0; n < 20; n++) await writer.send({ topic, messages: Array.from({ length: 25 }, (_, i) => ({ key: "k", value: `${n * 25 + i}` })) });
    await writer.disconnect();
    const member = await Member.start(unique("idempotent"), topic);
    await until(() => member.records.length >= 500, "read");
    assert.deepEqual(member.records.map((record) => Number(record.value)), [...Array(500).keys()]);
    await member.stop();
  },

  async keys_values_and_headers_may_be_null() {
    const topic = await create("nulls");
    await producer.send({ topic, messages: [{ key: null, value: null, headers: { a: ["1", "2"], empty: "", ünïcode: "✓" } }, { key: "", value: "" }] });
    const member = await Member.start(unique("nulls"), topic);
    await until(() => member.records.length === 2, "read");
    const [first, second] = member.records;
    assert.deepEqual([first.key, first.value, second.key, second.value], [null, null, "", ""]);
    assert.deepEqual(first.headers.a.map(String), ["1", "2"]);
    assert.deepEqual([String(first.headers.empty), String(first.headers["ünïcode"])], ["", "✓"]);
    await member.stop();
  },

  async acks_zero_one_and_all_are_stored() {
    const topic = await create("acks");
    for (const acks of [0, 1, -1]) await producer.send({ topic, acks, messages: [{ value: `${acks}` }] });
    const member = await Member.start(unique("acks"), topic);
    await until(() => member.records.length === 3, "read");
    assert.deepEqual(member.records.map((record) => record.value).sort(), ["-1", "0", "1"]);
    await member.stop();
  },

  async message_of_nearly_one_mebibyte() {
    const topic = await create("large");
    const value = crypto.randomBytes(1_048_000).toString("base64").slice(0, 1_048_000);
    await producer.send({ topic, messages: [{ key: "k", value }] });
    const member = await Member.start(unique("large"), topic);
    await until(() => member.records.length === 1, "read");
    assert.ok(member.records[0].value === value, "the same bytes");
    await member.stop();
  },

  async message_over_the_limit_is_refused() {
    const topic = await create("too-large", 1, [{ name: "max.message.bytes", value: "10000" }]);
    const send = (size) => producer.send({ topic, messages: [{ value: "x".repeat(size) }] });
    await assert.rejects(send(20_000), { type: "MESSAGE_TOO_LARGE" });
    await send(10);
    const [{ high }] = await admin.fetchTopicOffsets(topic);
    assert.equal(high, "1", "records in the topic");
  },

  async lookup_by_time() {
    const topic = await create("time", 1, [{ name: "retention.ms", value: "-1" }]);
    const start = 1_600_000_000_000;
    await producer.send({ topic, messages: [0, 1, 2, 3, 4].map((n) => ({ value: `${n}`, timestamp: `${start + n * 1000}` })) });
    assert.deepEqual(await admin.fetchTopicOffsetsByTimestamp(topic, start + 1500), [{ partition: 0, offset: "2" }]);
    assert.deepEqual((await admin.fetchTopicOffsets(topic)).map(({ low, high }) => [low, high]), [["0", "5"]]);
  },

  async deleted_records_are_gone() {
    const topic = await create("delete-records");
    await producer.send({ topic, messages: Array.from({ length: 10 }, (_, n) => ({ value: `${n}` })) });
    await admin.fetchTopicOffsets(topic); // kafkajs deletes records only of topics that it has looked up before
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "6" }] });
    const member = await Member.start(unique("delete-records"), topic);
    await until(() => member.records.length === 4, "read");
    assert.deepEqual(member.records.map((record) => record.offset), ["6", "7", "8", "9"]);
    await member.stop();
  },

  async topics_are_created_described_and_deleted() {
    const topic = await create("lifecycle", 3, [{ name: "retention.ms", value: "3600000" }]);
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
    assert.deepEqual(metadata.topics[0].partitions.map((p) => p.partitionId).sort(), [0, 1, 2]);
    assert.equal(await admin.createTopics({ topics: [{ topic }] }), false, "created a second time");
    await assert.rejects(admin.createTopics({ topics: [{ topic: "with/slash", numPartitions: 1, replicationFactor: -1 }] }));
    await assert.rejects(admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
    await admin.deleteTopics({ topics: [topic] });
    await until(async () => !(await admin.listTopics()).includes(topic), "gone");
  },

  async configurations_are_altered_and_described() {
    const topic = await create("configs");
    const resources = (value) => [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: "retention.ms", value }] }];
    await admin.alterConfigs({ resources: resources("123456") });
    await until(async () => {
      const described = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }] });
      return described.resources[0].configEntries.find((entry) => entry.configName === "retention.ms").configValue === "123456";
    }, "retention.ms was altered");
    await assert.rejects(admin.alterConfigs({ resources: resources("soon") }));
  },

  async groups_are_listed_described_and_deleted() {
    const topic = await create("groups", 2);
    const group = unique("groups");
    const member = await Member.start(group, topic);
    await awaitSpread([member], 2);
    assert.ok((await admin.listGroups()).groups.some(({ groupId }) => groupId === group), "listed");
    const { groups: [described] } = await admin.describeGroups([group]);
    assert.deepEqual([described.state, described.protocolType, described.members.length], ["Stable", "consumer", 1]);
    assert.deepEqual(AssignerProtocol.MemberAssignment.decode(described.members[0].memberAssignment).assignment, { [topic]: [0, 1] });
    await member.stop();
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: "0" }] });
    await admin.deleteGroups([group]);
    await until(async () => !(await admin.listGroups()).groups.some(({ groupId }) => groupId === group), "gone");
  },

  async cluster_is_described() {
    const cluster = await admin.describeCluster();
    assert.ok(cluster.clusterId, "cluster id");
    assert.ok(cluster.brokers.length >= brokers.length, "brokers");
    assert.ok(cluster.brokers.some(({ nodeId }) => nodeId === cluster.controller), "controller is one of the brokers");
  },
};

async function main(wanted = "") {
  await Promise.all([admin.connect(), producer.connect()]);
  let failed = 0;
  for (const [name, run] of Object.entries(cases).filter(([name]) => name.includes(wanted))) {
    let timer;
    const expired = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("no result within 60 s")), 60_000)));
    try {
      await Promise.race([run(), expired]);
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.error(error);
      console.log(`FAIL ${name}: ${error.message.split("\n")[0]}`);
    }
    clearTimeout(timer);
  }
  process.exit(failed ? 1 : 0);
}

if (process.argv[2] === "member") Member.start(process.argv[3], process.argv[4]);
else main(process.argv[2]);
