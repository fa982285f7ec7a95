import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  backendPort,
  isBlockedByFetch,
  normaliseBackendUrl,
  withoutCredentials,
} from "../../../src/config/backend_url.ts";
import { ConfigError } from "../../../src/errors.ts";

Deno.test("normaliseBackendUrl() gives one spelling for each backend", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["http://127.0.0.1:9001", "http://127.0.0.1:9001"],
    ["HTTP://LocalHost:9001/", "http://localhost:9001"],
    ["http://a:80", "http://a"],
    ["https://a:443/", "https://a"],
    ["http://a:443", "http://a:443"],
    ["http://a/Base/Path", "http://a/Base/Path"],
    ["http://a/base/", "http://a/base"],
    ["http://a//", "http://a"],
    ["http://a/x/../y", "http://a/y"],
    ["http://[::1]:9001", "http://[::1]:9001"],
    ["http://[0:0::1]", "http://[::1]"],
    ["http://bücher.example", "http://xn--bcher-kva.example"],
    ["http://a/p@th", "http://a/p@th"],
    ["unix:/run/app.sock", "unix:/run/app.sock"],
    ["http://unix:80/a", "http://unix/a"],
    ["unix:///run//app.sock", "unix:/run/app.sock"],
    ["unix:/run/App@1.sock", "unix:/run/App@1.sock"],
  ];
  for (const [text, url] of cases) assertEquals(normaliseBackendUrl(text), url);
});

Deno.test("normaliseBackendUrl() refuses what is no origin with a base path, and says what is wanted", () => {
  const cases = ["", "a", "127.0.0.1:9001", "localhost:9001", "ftp://a", "http:a", "http:/a", "http:///a", "http://"];
  const more = [
    "http://a?",
    "http://a/?x=1",
    "http://a#",
    "http://a/#x",
    "http://u@a",
    "http://u:p@a",
    "http://:p@a",
    "http://@a",
  ];
  const odd = ["http:\\\\a", "http://a\\b", " http://a", "http://a ", "http://a\n", "http://a\u0001", "http://a b"];
  const ports = ["http://a:0", "http://a:65536", "http://a:x", "http://[::1", "http://a:-1"];
  const sockets = [
    "http://unix:/run/app.sock", // how nginx and others name a socket, and a URL of the host "unix"
    "HTTPS://UNIX:/run/app.sock",
    "unix:",
    "unix:/",
    "unix:app.sock",
    "unix:/a/../b",
    "unix:/a:/base",
    "UNIX:/a",
    "unix://",
    "unix:/a?b",
  ];
  for (const text of [...cases, ...more, ...odd, ...ports, ...sockets]) {
    assertThrows(() => normaliseBackendUrl(text), ConfigError, "want an http:// or https:// origin", text);
  }
});

Deno.test("normaliseBackendUrl() never shows a password", () => {
  for (const text of ["http://user:hunter2@host", "http://user:hun/hunter2@host", "user:hunter2@host"]) {
    const { message } = assertThrows(() => normaliseBackendUrl(text), ConfigError);
    assertEquals(message.includes("hunter2"), false, message);
  }
  assertEquals(withoutCredentials("http://u:p@host/a"), "http://***@host/a");
});

Deno.test("normaliseBackendUrl() leaves its own result as it is, and throws nothing but ConfigError", () => {
  const text = fc.oneof(
    fc.webUrl({ withFragments: false }),
    fc.string({ unit: "binary" }),
    fc.string().map((s) => `http://${s}`),
    fc.string().map((s) => `unix:/${s}`),
  );
  fc.assert(fc.property(text, (text) => {
    try {
      const url = normaliseBackendUrl(text);
      assertEquals(normaliseBackendUrl(url), url);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }));
});

Deno.test("backendPort() is the port of a URL, and none of a socket", () => {
  const urls = ["http://a", "https://a/b", "http://a:81/b", "https://[::1]:8443", "unix:/run/app.sock"];
  assertEquals(urls.map(backendPort), [80, 443, 81, 8443, undefined]);
  assertEquals(isBlockedByFetch(undefined), false);
});

Deno.test("isBlockedByFetch() agrees with fetch", async () => {
  // Nothing is dialled: the client goes through a proxy that is not there.
  using client = Deno.createHttpClient({ proxy: { url: "http://127.0.0.1:9" } });
  for (const port of [1, 22, 79, 80, 443, 2048, 2049, 5061, 6000, 6001, 6566, 6664, 6669, 6670, 9001, 10080, 10081]) {
    const error = await fetch(`http://127.0.0.1:${port}`, { client }).catch((error: unknown) => error);
    assertEquals(isBlockedByFetch(port), String(error).includes("blocked"), `port ${port}`);
  }
});
