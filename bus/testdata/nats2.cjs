// Reads a stream with nats.js 2 in each of its ways. Arguments: the server's
// address, the token or "", the stream, a filter, how many messages to read.
// Prints one JSON object a way: {way, read: ["<subject> <sync>"...], error}.
const { connect, consumerOpts, createInbox, AckPolicy, DeliverPolicy } = require("nats");
const [address, token, stream, filter, count] = process.argv.slice(2);
const n = Number(count);

const line = (m) => `${m.subject} ${JSON.parse(new TextDecoder().decode(m.data)).sync_id}`;

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
    await jsm.consumers.add(stream, { durable_name: "js2_consume", ack_policy: AckPolicy.Explicit, filter_subject: filter });
    const c = await js.consumers.get(stream, "js2_consume");
    return take(await c.consume(), true);
  },
  "durable of two filters, fetch": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js2_two", ack_policy: AckPolicy.Explicit, filter_subjects: [filter, filter.replace("ada", "_")] });
    const c = await js.consumers.get(stream, "js2_two");
    return take(await c.fetch({ max_messages: n, expires: 5000 }), true);
  },
  "no policies, no name": async ({ js, jsm }) => {
    const ci = await jsm.consumers.add(stream, { filter_subject: filter });
    const c = await js.consumers.get(stream, ci.name);
    return take(await c.fetch({ max_messages: n, expires: 5000 }), false);
  },
  "ordered": async ({ js }) => {
    const c = await js.consumers.get(stream, { filterSubjects: [filter] });
    return take(await c.consume(), false);
  },
  "changed, listed, removed": async ({ js, jsm }) => {
    await jsm.consumers.add(stream, { durable_name: "js2_changed", ack_policy: AckPolicy.Explicit, filter_subject: filter });
    const ci = await jsm.consumers.update(stream, "js2_changed", { max_ack_pending: 50 });
    if (ci.config.max_ack_pending !== 50) throw new Error(JSON.stringify(ci.config));
    await jsm.consumers.pause(stream, "js2_changed", new Date(Date.now() + 60000));
    await jsm.consumers.resume(stream, "js2_changed");
    const names = (await jsm.consumers.list(stream).next()).map((c) => c.name);
    if (!names.includes("js2_changed")) throw new Error(`listed ${names}`);
    const read = await take(await (await js.consumers.get(stream, "js2_changed")).fetch({ max_messages: n, expires: 5000 }), true);
    await jsm.consumers.delete(stream, "js2_changed");
    return read;
  },
  "push": async ({ js }) => {
    const opts = consumerOpts();
    opts.deliverTo(createInbox());
    opts.deliverAll();
    opts.ackExplicit();
    opts.flowControl();
    opts.idleHeartbeat(1000);
    return take(await js.subscribe(filter, opts), true);
  },
  "push, durable queue": async ({ js }) => {
    const opts = consumerOpts();
    opts.durable("js2_queue");
    opts.queue("js2_queue");
    opts.deliverTo(createInbox());
    opts.manualAck();
    opts.ackExplicit();
    opts.deliverAll();
    return take(await js.subscribe(filter, opts), true);
  },
  "push, ordered": async ({ js }) => {
    const opts = consumerOpts();
    opts.orderedConsumer();
    return take(await js.subscribe(filter, opts), false);
  },
  "pull subscribe": async ({ js }) => {
    const opts = consumerOpts();
    opts.durable("js2_pull");
    opts.ackExplicit();
    opts.deliverAll();
    const sub = await js.pullSubscribe(filter, opts);
    sub.pull({ batch: n, expires: 5000 });
    return take(sub, true);
  },
};

(async () => {
  for (const [way, read] of Object.entries(ways)) {
    const nc = await connect({ servers: address, ...(token ? { user: "any", pass: token } : {}) });
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("timed out")), 10000).unref());
    try {
      const js = nc.jetstream(), jsm = await nc.jetstreamManager();
      console.log(JSON.stringify({ way, read: await Promise.race([read({ js, jsm }), late]) }));
    } catch (err) {
      console.log(JSON.stringify({ way, error: String(err.stack ?? err) }));
    }
    await nc.close();
  }
  process.exit(0);
})();
