// Lists of backends that servers and files send. A list is believed as a whole or not at all, and its first error says where
// it is: half a list would take the other half out of the pool.

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { MAX_BACKENDS } from "../../../src/config/backend_limit.ts";
import { ListReader, plainBackend, readBackendList } from "../../../src/sources/backend_list.ts";
import { SourceError } from "../../../src/sources/source.ts";
import { backendSpec } from "../../support/pool.ts";

Deno.test("readBackendList() reads URLs, backends in the file's words and groups of targets", () => {
  const list = [
    "HTTP://A:80/",
    { url: "https://b/base/", weight: 5, maxConnections: 9, backup: true, tls: { ca: "ca.pem" } },
    { targets: ["10.0.0.1:3000", "[::1]:3000"], labels: { job: "x" } },
    { targets: ["c"], labels: { __scheme__: "https" } },
    { targets: [] },
  ];
  assertEquals(readBackendList(list), [
    backendSpec("http://a"),
    backendSpec("https://b/base", {
      weight: 5,
      maxConnections: 9,
      backup: true,
      tls: { ca: "ca.pem", insecure: false, serverName: null, cert: null, key: null },
    }),
    backendSpec("http://10.0.0.1:3000"),
    backendSpec("http://[::1]:3000"),
    backendSpec("https://c"),
  ]);
  assertEquals(readBackendList([]), []);
  assertEquals(plainBackend("http://a", 7, true), backendSpec("http://a", { weight: 7, backup: true }));
});

const URL_WANTED =
  "want an http:// or https:// origin with an optional base path, without credentials, query or fragment, or unix:/PATH of a socket (absolute, at most 107 bytes, without colons)";

Deno.test("readBackendList() refuses the whole list, and names the place of the first error", () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [{ backends: [] }, `got an object with "backends", want a list`],
    ["http://a", `got "http://a", want a list`],
    [null, "got null, want a list"],
    [["http://a", "b:80"], `[1]: got "b:80", ${URL_WANTED}`],
    [["http://a:0"], `[0]: got "http://a:0", ${URL_WANTED}`],
    [["http://me:secret@a"], `[0]: got "http://***@a", ${URL_WANTED}`],
    [[7], `[0]: got 7, want a URL, an object with "url", or an object with "targets"`],
    [[{ url: "http://a", weight: -1 }], "[0].weight: got -1, want a whole number from 0 to 256"],
    [[{ url: "http://a", wieght: 1 }], `[0].wieght: unknown setting, did you mean "weight"?`],
    [[{}], `[0].url: got nothing, ${URL_WANTED}`],
    [["http://a", "HTTP://A/"], "[1]: same backend as [0] (http://a)"],
    [[{ targets: ["a:1", "a:1"] }], "[0].targets[1]: same backend as [0].targets[0] (http://a:1)"],
    [[{ targets: "a:1" }], `[0].targets: got "a:1", want a list`],
    [[{ targets: ["a:99999"] }], `[0].targets[0]: got "a:99999", want HOST:PORT, such as "10.0.0.1:8080"`],
    [[{ targets: ["a/b"] }], `[0].targets[0]: got "a/b", want HOST:PORT, such as "10.0.0.1:8080"`],
    [[{ targets: ["a"], labels: { __scheme__: "ftp" } }], `[0].labels.__scheme__: got "ftp", want "http" or "https"`],
    [Array.from({ length: MAX_BACKENDS + 1 }, (_, i) => `http://b-${i}`), "got more, want at most 4096 backends"],
  ];
  for (const [list, message] of cases) {
    const error = assertThrows(() => readBackendList(list), SourceError);
    assertEquals(error.message, message);
  }
});

Deno.test("readBackendList() reads any JSON or refuses it in one line, and never reads a backend twice", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    try {
      const urls = readBackendList(value).map(({ url }) => url);
      assertEquals(new Set(urls).size, urls.length);
    } catch (error) {
      assert(error instanceof SourceError, String(error));
      assert(!error.message.includes("\n"), error.message);
    }
  }));
});

Deno.test("ListReader does not read the same text twice, but reads a text again that it has refused", () => {
  const reader = new ListReader();
  const first = reader.read(`["http://a"]`);
  assertEquals(first, [{ spec: backendSpec("http://a") }]);
  assert(reader.read(`["http://a"]`) === first);
  for (const text of ["", "[", `["http://a", 7]`, "null"]) {
    assertThrows(() => reader.read(text), SourceError);
    assertThrows(() => reader.read(text), SourceError);
  }
  assertEquals(reader.read(`["http://a"]`), first);
});

Deno.test("ListReader reads only the entries of a text that are new, and the others are the very same", () => {
  const reader = new ListReader();
  const specs = (list: readonly unknown[]) => reader.read(JSON.stringify(list)).map(({ spec }) => spec);
  const [a, b, c] = specs(["http://a", { url: "http://b", weight: 2 }, { targets: ["c"] }]);
  const [c2, d, b2, a2] = specs([{ targets: ["c", "d"] }, { url: "http://b", weight: 2 }, "http://a"]);
  assert(a === a2 && b === b2 && c === c2);
  assertEquals(d, backendSpec("http://d"));
  assertEquals(specs([{ url: "http://b", weight: 3 }]), [backendSpec("http://b", { weight: 3 })]);
  assertThrows(() => reader.read(`["http://a", "http://a"]`), SourceError, "same backend");
  assertThrows(
    () => reader.read(`[{ "targets": ["a", "b/c"] }, { "targets": ["", ""] }]`),
    SourceError,
    "[0].targets[1]",
  );
});
