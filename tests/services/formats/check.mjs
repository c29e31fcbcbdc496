// Checks messages against what their receivers publish: cards against Microsoft's own parser of adaptive
// cards, Slack messages against Slack's types of blocks.
// Usage: node check.mjs MESSAGES.json, a list of {"kind": "teams" | "slack", "message": …}; the packages are
// those installed beside this file. Prints nothing and ends with 0 if all are well.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
// The bundle is a script for browsers, in a package of modules.
const bundle = readFileSync(join(here, "node_modules/adaptivecards/dist/adaptivecards.js"), "utf8");
const holder = { exports: {} };
new Function("module", "exports", bundle)(holder, holder.exports);
const cards = holder.exports;
const ts = require("typescript");

const messages = JSON.parse(readFileSync(process.argv[2], "utf8"));
const wrong = [];

function checkTeams(message, index) {
  const say = (text) => wrong.push(`teams ${index}: ${text}`);
  if (message.type !== "message") say("is no message");
  if (message.attachments.length !== 1) say("has not one attachment");
  const [{ contentType, content }] = message.attachments;
  if (contentType !== "application/vnd.microsoft.card.adaptive") say(`content type ${contentType}`);
  if (JSON.stringify(message).length > 28 * 1024) say("is larger than Teams takes");
  const version = cards.Version.parse(content.version, new cards.SerializationContext());
  const context = new cards.SerializationContext(version);
  const card = new cards.AdaptiveCard();
  card.parse(content, context);
  for (let i = 0; i < context.eventCount; i++) say(context.getEventAt(i).message);
  for (const event of card.validateProperties().validationEvents) say(event.message);
  // What the parser doesn't know, or knows with another value, doesn't come back.
  const known = new Set(["$schema"]);
  const written = card.toJSON(context);
  for (const key of Object.keys(content)) {
    if (known.has(key)) continue;
    if (!isDeepStrictEqual(lower(content[key]), lower(written?.[key])))
      say(`${key} is read as ${JSON.stringify(written?.[key])}`);
  }
}

// Names of sizes and colors are the same in either case.
function lower(value) {
  return JSON.parse(JSON.stringify(value ?? null), (_, one) =>
    typeof one === "string" ? one.toLowerCase() : one,
  );
}

function checkSlack(list) {
  const lines = ['import type { KnownBlock } from "@slack/types";'];
  list.forEach(({ message }, index) => {
    lines.push(
      `export const m${index}: { text: string; blocks: KnownBlock[]; unfurl_links: boolean; ` +
        `unfurl_media: boolean } = ${JSON.stringify(message)};`,
    );
  });
  const file = join(here, `messages-${process.pid}.ts`);
  writeFileSync(file, lines.join("\n"));
  try {
    const program = ts.createProgram([file], {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: [],
    });
    for (const found of ts.getPreEmitDiagnostics(program))
      wrong.push(`slack: ${ts.flattenDiagnosticMessageText(found.messageText, " ")}`);
  } finally {
    require("node:fs").unlinkSync(file);
  }
}

messages.forEach(({ kind, message }, index) => kind === "teams" && checkTeams(message, index));
checkSlack(messages.filter(({ kind }) => kind === "slack"));
if (wrong.length > 0) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
