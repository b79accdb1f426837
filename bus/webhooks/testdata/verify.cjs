// Verifies messages, one JSON object a line with secret, headers and body, with
// the library of the Standard Webhooks convention.
const { Webhook } = require("standardwebhooks");
const lines = require("fs").readFileSync(0, "utf8").trim().split("\n");

for (const line of lines) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("verified");
  } catch (refused) {
    console.log(refused.message);
  }
}
