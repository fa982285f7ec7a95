// What the file may say of `auth`. A header that is copied by mistake would change what a backend reads as the request.

import { assert, assertEquals } from "@std/assert";
import { doubts } from "../../../src/config/cross_checks.ts";
import { describeGuards } from "../../../src/config/guards.ts";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import { showConfig } from "../../../src/config/show.ts";
import { validateConfig } from "../../../src/config/validate.ts";
import { ConfigError } from "../../../src/errors.ts";

function linesOf(raw: unknown): readonly string[] {
  try {
    validateConfig(raw, {});
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

/** Of bcrypt. */
const HASH = `$2b$10$${"secret".padEnd(53, ".")}`;

const URL = "http://127.0.0.1:4180/auth";
const COPIED = "want the name of a header that is not about the connection or the body, and not Host, Set-Cookie, " +
  "X-Forwarded-*, X-Request-Id, traceparent or tracestate";
const URL_WANTED = "want an http:// or https:// URL without credentials or fragment";

Deno.test("validateConfig() refuses to copy headers of the connection, the body and the proxy, in any spelling", () => {
  const refused = [
    ...[
      "Host",
      "host",
      "Connection",
      "Keep-Alive",
      "TE",
      "Trailer",
      "Transfer-Encoding",
      "transfer_encoding",
      "Upgrade",
    ],
    ...[
      "Content-Length",
      "Content-Type",
      "CONTENT_LENGTH",
      "Expect",
      "Proxy-Authorization",
      "Set-Cookie",
      "X-Request-Id",
    ],
    ...[
      "X-Forwarded-For",
      "x-forwarded-user",
      "X_Forwarded_User",
      "X.Forwarded.Host",
      "Sec-WebSocket-Key",
      "traceparent",
    ],
  ];
  for (const name of refused) {
    assertEquals(linesOf({ auth: { forward: URL, copy: ["X-User", name] } }), [
      `auth.copy[1]: got ${JSON.stringify(name)}, ${COPIED}`,
    ]);
  }
  const copy = ["X-User", "Remote-User", "Authorization", "Cookie", "X-Forward", "Contents", "Hosts"];
  assertEquals(linesOf({ auth: { forward: URL, copy } }), []);
});

Deno.test("validateConfig() wants one way to prove who a client is, and says what is wrong with it", () => {
  const refused: [auth: unknown, line: string][] = [
    [{}, 'auth: got an empty object, want an object with "basic" or "forward", or null'],
    ["http://x", 'auth: got "http://x", want an object with "basic" or "forward", or null'],
    [{ forward: "ftp://x" }, `auth.forward: got "ftp://x", ${URL_WANTED}`],
    [
      { forward: "http://u:p@x/" },
      `auth.forward: got "http://***@x/", ${URL_WANTED}`,
    ],
    [{ forward: `${URL}#a` }, `auth.forward: got "${URL}#a", ${URL_WANTED}`],
    [
      { forward: { pool: "a" } },
      'auth.forward.path: got nothing, want a path that begins with "/", percent-encoded, without spaces or "#"',
    ],
    [{ forward: { pool: "nobody", path: "/" } }, 'auth.forward.pool: got "nobody", want the name of a pool'],
    [
      { forward: { pool: "auht", path: "/" } },
      'auth.forward.pool: got "auht", want the name of a pool, did you mean "auth"?',
    ],
    [{ forward: URL, timout: 1 }, 'auth.timout: unknown setting, did you mean "timeout"?'],
    [
      { forward: URL, timeout: 0 },
      'auth.timeout: got 0, want a duration from "1ms" to "24d", such as "500ms", "5s" or "1m30s", or a whole number of milliseconds',
    ],
  ];
  const pools = { auth: { backends: ["http://a"] } };
  for (const [auth, line] of refused) {
    assertEquals(linesOf({ auth, pools }), [line]);
    assertEquals(
      linesOf({ routes: { "*/*": { pool: "default", auth } }, pools }).map((text) =>
        text.replace('routes["*/*"].', "")
      ),
      [line],
    );
  }
  const both = linesOf({ auth: { basic: { users: {} }, forward: URL } });
  assertEquals(both.length, 1, both.join("\n"));
});

Deno.test("a pool that is asked is used", () => {
  const auth = { forward: { pool: "auth", path: "/" } };
  const pools = { auth: { backends: ["http://a"] }, idle: { backends: ["http://b"] } };
  const lines = (file: ConfigFile) => doubts(configSchema.parse({ backends: ["http://c"], pools, ...file }), 1);
  assertEquals(lines({ auth }), ["pools.idle: no route leads to this pool"]);
  assertEquals(lines({ routes: { "*/*": { pool: "default", auth } } }), ["pools.idle: no route leads to this pool"]);
});

Deno.test("describeGuards() and showConfig() say who is asked, without secrets", () => {
  const config = (auth: ConfigFile["auth"]) => configSchema.parse({ auth });
  const words = (auth: ConfigFile["auth"]) => describeGuards({ auth: config(auth).auth });
  const secret = `${URL}?token=abc`;
  assertEquals(words({ forward: secret }), [`asks ${URL}?token=*** for at most 1s`]);
  assertEquals(words({ forward: { pool: "a", path: "/x" } }), ["asks the pool a at /x for at most 1s"]);
  assertEquals(words({ basic: { users: { ann: HASH } } }), ["asks for a password of 1 user"]);
  const shown = JSON.stringify(showConfig(config({ forward: secret })));
  assert(shown.includes("token=***") && !shown.includes("abc"));
  const users = JSON.stringify(showConfig(config({ basic: { users: { ann: HASH } } })));
  assert(!users.includes("secret"), users);
});
