// Reads a copy of the AsyncAPI document as the AsyncAPI parser does, and fails
// on what that objects to.
const { Parser, fromFile } = require("@asyncapi/parser");

async function main(file) {
  const parser = new Parser();
  const { document, diagnostics } = await fromFile(parser, file).parse();
  const objections = diagnostics.filter((d) => d.severity <= 1); // errors and warnings
  for (const d of objections) console.error(`${d.path.join(".")}: ${d.message} (${d.code})`);
  if (!document || objections.length > 0) process.exit(1);
  const events = document.messages().all().filter((m) => m.hasPayload() && m.payload().type() === "object");
  console.log(JSON.stringify(events.map((m) => m.name()).sort()));
}

main(process.argv[2]).catch((e) => { console.error(e); process.exit(1); });
