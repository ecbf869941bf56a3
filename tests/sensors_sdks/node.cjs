// Drives sa-sdk-node, unchanged: node.cjs <packages> <submitter|nw> <options as JSON>.
// A line {"method", "args"} on standard input is a call; each is answered by a line. What a Submitter reports
// comes as a line {"error"}. Ends when its input does and nothing is on its way.
"use strict";
const readline = require("node:readline");

const [packages, kind, options] = process.argv.slice(2);
const SensorsAnalytics = require(`${packages}/sa-sdk-node`).default || require(`${packages}/sa-sdk-node`);
const { url, mode, cachePath, timeout } = JSON.parse(options);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const sa = new SensorsAnalytics();
if (kind === "submitter") {
  sa.submitTo({ url, mode, timeout }).catch((error) => say({ error: String(error.message) }));
} else {
  sa.initNWConsumer({ url, mode, cachePath, timeout });
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { method, args } = JSON.parse(line);
  try {
    sa[method](...args);
    say({ done: method });
  } catch (error) {
    say({ thrown: String(error.message) });
  }
});
say({ done: "start" });
