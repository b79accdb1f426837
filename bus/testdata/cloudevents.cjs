// Reads NATS messages, one JSON object a line with headers and body, with the
// CloudEvents SDK for JavaScript. Its HTTP binding and the NATS binding carry
// attributes alike in binary mode.
const { HTTP } = require("cloudevents");
const lines = require("fs").readFileSync(0, "utf8").trim().split("\n");

for (const line of lines) {
  const { headers, body } = JSON.parse(line);
  const event = HTTP.toEvent({ headers, body }).cloneWith({}, true); // true: validate strictly
  console.log(JSON.stringify({
    id: event.id, type: event.type, source: event.source, subject: event.subject, time: event.time,
    correlationid: event.correlationid, dataschema: event.dataschema, organization: event.data.organization,
  }));
}
