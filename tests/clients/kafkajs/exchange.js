// kafkajs's part in the exchange (see ../README.md).
const assert = require("node:assert/strict");
const { Kafka, logLevel } = require("kafkajs");
const codecs = require("./codecs");

const kafka = new Kafka({ brokers: process.env.KLAMM_BOOTSTRAP.split(","), logLevel: logLevel.ERROR });

function expected(codec) {
  return Array.from({ length: 20 }, (_, i) => ({
    key: i === 19 ? null : `${codec}-${i}`,
    value: i === 18 ? null : `${codec} ${i} ${"x".repeat(100)}`,
    headers: { codec, origin: "exchange" },
  }));
}

async function write(topic) {
  const producer = kafka.producer();
  await producer.connect();
  for (const [codec, compression] of Object.entries(codecs)) {
    await producer.send({ topic, compression, messages: expected(codec) });
  }
  await producer.disconnect();
}

async function read(topics) {
  const consumer = kafka.consumer({ groupId: `exchange-${Date.now()}-${process.pid}` });
  await consumer.connect();
  for (const topic of topics) await consumer.subscribe({ topic, fromBeginning: true });
  const records = Object.fromEntries(topics.map((topic) => [topic, []]));
  const wanted = Object.keys(codecs).flatMap(expected);
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error("not everything was read within 30 s")), 30_000).unref();
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    const eachMessage = async ({ topic, message }) => {
      records[topic].push({
        key: message.key && message.key.toString(),
        value: message.value && message.value.toString(),
        headers: Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, value.toString()])),
      });
      if (topics.every((name) => records[name].length >= wanted.length)) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  for (const topic of topics) assert.deepEqual(records[topic], wanted, topic);
}

const [command, ...topics] = process.argv.slice(2);
(command === "exchange-write" ? write(topics[0]) : read(topics)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
