// Log lines are fit for a terminal whatever a client has sent.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { formatJson, formatText } from "../../src/log.ts";

// U+009B begins a terminal command as ESC [ does, and U+202E turns the rest of the line round: a client's path went into
// the log raw, and told whoever read it what the client liked.
Deno.test("formatText() and formatJson() escape what a terminal obeys or readers do not see", () => {
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
    const properties = { path: `/${odd}`, nested: { list: [odd] } };
    const record = {
      category: [],
      level: "info",
      message: [],
      rawMessage: "request",
      timestamp: 0,
      properties,
    } as const;
    for (const line of [formatText(record), formatJson(record)]) {
      assert(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line.slice(0, -1)), line);
      assertMatch(line, /\\u[0-9a-f]{4}/);
    }
    assertEquals(JSON.parse(formatJson(record)).path, `/${odd}`);
  }
});
