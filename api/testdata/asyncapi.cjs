// Reads an AsyncAPI document from its URL, with all that it refers to, as the
// AsyncAPI parser does, and fails on what that objects to.
const { Parser, fromURL } = require("@asyncapi/parser");

async function main(url) {
  const parser = new Parser();
  const { document, diagnostics } = await fromURL(parser, url).parse();
  const objections = diagnostics.filter((d) => d.severity <= 1); // errors and warnings
  for (const d of objections) console.error(`${d.path.join(".")}: ${d.message} (${d.code})`);
  if (!document || objections.length > 0) process.exit(1);
  const events = document.messages().all().filter((m) => m.hasPayload() && m.payload().type() === "object");
  console.log(JSON.stringify(events.map((m) => m.name()).sort()));
}

main(process.argv[2]).catch((e) => { console.error(e); process.exit(1); });
