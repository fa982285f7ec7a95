// Log lines are fit for a terminal whatever a client has sent.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { LogRecord } from "@logtape/logtape";
import { formatCombined, formatJson, formatShort, formatterFor, formatText } from "../../src/log_format.ts";

function recordOf(properties: Record<string, unknown>, more: Partial<LogRecord> = {}): LogRecord {
  return { category: [], level: "info", message: [], rawMessage: "request", timestamp: 0, properties, ...more };
}

// U+009B begins a terminal command as ESC [ does, and U+202E turns the rest of the line round: a client's path went into
// the log raw, and told whoever read it what the client liked.
Deno.test("every form of a line escapes what a terminal obeys or readers do not see", () => {
  for (
    const odd of [
      "\u009b31m",
      "\u0085",
      "\u007f",
      "\u202e",
      "\u2066",
      "\u200f",
      "\u061c",
      "\u2028",
      "\ufeff",
      "\u{e0041}",
    ]
  ) {
    const record = recordOf({ path: `/${odd}`, userAgent: odd, nested: { list: [odd] } });
    for (const line of [formatText(record), formatJson(record), formatShort(false)(record), formatCombined(record)]) {
      assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line.slice(0, -1)), line);
      assertMatch(line, /\\u[0-9a-f]{4}/);
    }
    assertEquals(JSON.parse(formatJson(record)).path, `/${odd}`);
  }
});

Deno.test("formatShort() has the time of day and what a person looks for, with colours by level or without", () => {
  const properties = { backend: "http://a", pool: "default", id: "b-1", reason: "check failed", session: null };
  const record = recordOf(properties, { level: "warning", rawMessage: "backend down" });
  assertMatch(
    formatShort(false)(record),
    /^\d\d:\d\d:\d\d WARN {2}backend down backend=http:\/\/a reason="check failed"\n$/,
  );
  const coloured = formatShort(true)(record);
  assert(coloured.includes("\x1b[33mWARN \x1b[0m"), coloured);
  assertEquals(coloured.replaceAll(/\p{Cc}\[\d+m/gu, ""), formatShort(false)(record));
  assertMatch(formatShort(false)(recordOf({ pool: "api" })), / pool=api\n$/);
});

Deno.test("formatterFor() is short on terminals only, and keeps JSON and the Combined Log Format there", () => {
  const record = recordOf({ client: "192.0.2.1", method: null, status: 400, bytesOut: 0 });
  const other = recordOf({ pid: 7 }, { rawMessage: "ready" });
  assertMatch(
    formatterFor({ format: "text", access: true }, "none")(other),
    /^1970-01-01T00:00:00.000Z INFO {2}ready pid=7/,
  );
  assertMatch(formatterFor({ format: "text", access: true }, "plain")(other), /^\d\d:\d\d:\d\d INFO {2}ready\n$/);
  assert(formatterFor({ format: "text", access: true }, "colour")(other).includes("\x1b["));
  assertMatch(formatterFor({ format: "json", access: true }, "colour")(other), /^\{"time":/);
  const combined = formatterFor({ format: "json", access: "combined" }, "none");
  assertEquals(combined(record), '192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] "-" 400 0 "-" "-"\n');
  assertMatch(combined(other), /^\{"time":/);
});
