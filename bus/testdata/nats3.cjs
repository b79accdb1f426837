// Reads a stream with nats.js 3 in each of its ways. Arguments and answers are
// those of nats2.cjs.
const { connect } = require("@nats-io/transport-node");
const { jetstream, jetstreamManager, AckPolicy, DeliverPolicy } = require("@nats-io/jetstream");
const { createInbox } = require("@nats-io/transport-node");
const [address, token, stream, filter, count] = process.argv.slice(2);
const n = Number(count);

const line = (m) => `${m.subject} ${m.json().sync_id}`;

async function take(messages, ack) {
  const read = [];
  for await (const m of messages) {
    read.push(line(m));
    if (ack) await m.ackAck();
    if (read.length >= n) break;
  }
  return read;
}

const ways = {
  "durable, consume": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js3_consume", ack_policy: AckPolicy.Explicit, filter_subject: filter });
    return take(await (await js.consumers.get(stream, "js3_consume")).consume(), true);
  },
  "durable of two filters, fetch": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js3_two", ack_policy: AckPolicy.Explicit, filter_subjects: [filter, filter.replace("ada", "_")] });
    return take(await (await js.consumers.get(stream, "js3_two")).fetch({ max_messages: n, expires: 5000 }), true);
  },
  "no policies, no name": async ({ js, jsm }) => {
    const ci = await jsm.consumers.add(stream, { filter_subject: filter });
    return take(await (await js.consumers.get(stream, ci.name)).fetch({ max_messages: n, expires: 5000 }), false);
  },
  "ordered": async ({ js }) => take(await (await js.consumers.get(stream, { filter_subjects: [filter] })).consume(), false),
  "changed, listed, removed": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js3_changed", ack_policy: AckPolicy.Explicit, filter_subject: filter });
    const ci = await jsm.consumers.update(stream, "js3_changed", { max_ack_pending: 50 });
    if (ci.config.max_ack_pending !== 50) throw new Error(JSON.stringify(ci.config));
    await jsm.consumers.pause(stream, "js3_changed", new Date(Date.now() + 60000));
    await jsm.consumers.resume(stream, "js3_changed");
    const names = (await jsm.consumers.list(stream).next()).map((c) => c.name);
    if (!names.includes("js3_changed")) throw new Error(`listed ${names}`);
    const read = await take(await (await js.consumers.get(stream, "js3_changed")).fetch({ max_messages: n, expires: 5000 }), true);
    await jsm.consumers.delete(stream, "js3_changed");
    return read;
  },
  "push": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js3_push", ack_policy: AckPolicy.Explicit, filter_subject: filter, deliver_subject: createInbox(), idle_heartbeat: 1_000_000_000, flow_control: true });
    return take(await (await js.consumers.getPushConsumer(stream, "js3_push")).consume(), true);
  },
  "push, queue": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js3_queue", ack_policy: AckPolicy.Explicit, filter_subject: filter, deliver_subject: createInbox(), deliver_group: "workers" });
    return take(await (await js.consumers.getPushConsumer(stream, "js3_queue")).consume(), true);
  },
  "push, ordered": async ({ js }) => take(await (await js.consumers.getPushConsumer(stream, { filter_subjects: [filter] })).consume(), false),
};

(async () => {
  for (const [way, read] of Object.entries(ways)) {
    const nc = await connect({ servers: address, ...(token ? { user: "any", pass: token } : {}) });
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("timed out")), 10000).unref());
    try {
      const js = jetstream(nc), jsm = await jetstreamManager(nc);
      console.log(JSON.stringify({ way, read: await Promise.race([read({ js, jsm }), late]) }));
    } catch (err) {
      console.log(JSON.stringify({ way, error: String(err.stack ?? err) }));
    }
    await nc.close();
  }
  process.exit(0);
})();
