// The admin API's checks by themselves: what counts as local, as the same origin, as a body.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as z from "zod";
import {
  isLocalAuthority,
  isSameOrigin,
  type Operation,
  operationOf,
  queryOf,
  readJson,
  type Route,
} from "../../../src/admin/guard.ts";
import { BrokenBody } from "../../../src/net/incoming.ts";
import { AdminError, type RefusalStatus } from "../../../src/admin/admin_error.ts";

Deno.test("isLocalAuthority() takes localhost and addresses, with any port, and no name", () => {
  for (const authority of ["localhost", "LocalHost:8081", "127.0.0.1", "10.0.0.7:80", "[::1]", "[fd00::7]:8081"]) {
    assertEquals(isLocalAuthority(authority), true, authority);
  }
  for (
    const authority of [
      ...["", ":8081", "example.com", "localhost.example.com", "127.0.0.1.example.com", "127.0.0.1@example.com"],
      ...["example.com:127.0.0.1", "127.1", "127.0.0.256", "[::1", "::1", "[localhost]", "[127.0.0.1]", "localhost:a"],
      ...["localhost/x", "localhost ", "localhost, example.com", "127.0.0.1:80:80", "[]"],
    ]
  ) assertEquals(isLocalAuthority(authority), false, authority);
});

Deno.test("isSameOrigin() wants the same host and port, whatever scheme and spelling", () => {
  for (
    const [origin, authority] of [
      ["http://127.0.0.1:8081", "127.0.0.1:8081"],
      ["https://admin.example:8081", "admin.example:8081"],
      ["http://Admin.Example", "admin.example:80"],
      ["https://admin.example", "admin.example:443"],
      ["http://admin.example:80", "admin.example"],
      ["http://[::1]:8081", "[::1]:8081"],
    ] as const
  ) assertEquals(isSameOrigin(origin, authority), true, origin);
  for (
    const [origin, authority] of [
      ["null", "localhost:8081"],
      ["", "localhost:8081"],
      ["http://localhost:3000", "localhost:8081"],
      ["http://localhost", "localhost:8081"],
      ["https://localhost", "localhost:80"],
      ["http://127.0.0.1:8081", "localhost:8081"],
      ["http://evil.example:8081", "localhost:8081"],
      ["http://localhost:8081@evil.example", "localhost:8081"],
      ["http://localhost:8081/path", "localhost:8081"],
      ["http://localhost:8081, http://evil.example", "localhost:8081"],
      ["file://localhost:8081", "localhost:8081"],
      ["http://localhost:8081", ""],
      ["http://localhost:8081", "localhost:8081/x"],
      ["http://evil.example", "localhost@evil.example"],
    ] as const
  ) assertEquals(isSameOrigin(origin, authority), false, `${origin} to ${authority}`);
});

const operation: Operation = {
  about: { summary: "", answers: [{ status: 200, summary: "", contentType: null }] },
  answer: () => new Response(),
};

Deno.test("operationOf() gives HEAD what GET has, and lists what there is for other methods", () => {
  const route: Route = {
    path: "/x",
    methods: { GET: operation, DELETE: { ...operation, query: z.object({ id: z.string() }) } },
  };
  assertEquals(operationOf(route, "HEAD"), operation);
  assertEquals(Object.keys(operationOf(route, "DELETE").query?.shape ?? {}), ["id"]);
  for (const method of ["POST", "get", "OPTIONS", "toString", "__proto__"]) {
    const problem = assertThrows(() => operationOf(route, method), AdminError);
    assertEquals([problem.status, problem.headers], [405, { allow: "GET, HEAD, DELETE" }]);
  }
  const write: Route = { path: "/x", methods: { POST: operation } };
  assertEquals(assertThrows(() => operationOf(write, "HEAD"), AdminError).headers, { allow: "POST" });
});

Deno.test("queryOf() decodes what the operation knows and refuses the rest", () => {
  const known = { ...operation, query: z.object({ url: z.string(), id: z.string() }) };
  assertEquals(queryOf("http://h/backends", known), {});
  assertEquals(queryOf("http://h/backends?", known), {});
  assertEquals(queryOf("http://h/backends?url=http%3A%2F%2Fa%3Fb", known), { url: "http://a?b" });
  for (
    const [query, detail] of [
      ["id=1&id=1", 'query parameter "id": got it more than once, want it once'],
      ["ID=1", 'unknown query parameter "ID", want url or id'],
      ["__proto__=1", 'unknown query parameter "__proto__", want url or id'],
      ["=1", 'unknown query parameter "", want url or id'],
    ] as const
  ) assertThrows(() => queryOf(`http://h/backends?${query}`, known), AdminError, detail);
});

const JSON_TYPE = { "content-type": "application/json" };

/** A body that comes in these pieces, each in a place of its own that is used again; ends as told. */
function bodyOf(pieces: readonly (string | Uint8Array)[], end?: BrokenBody) {
  const bytes = new Uint8Array(70_000);
  let next = 0;
  return {
    read(onData: (bytes: Uint8Array, from: number, to: number) => void): Promise<boolean> {
      const piece = pieces[next++];
      if (piece === undefined) return end === undefined ? Promise.resolve(false) : Promise.reject(end);
      const data = typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
      bytes.set(data, 7);
      onData(bytes, 7, 7 + data.length);
      return Promise.resolve(true);
    },
  };
}

function read(pieces: readonly (string | Uint8Array)[], headers: Record<string, string> = JSON_TYPE, end?: BrokenBody) {
  return readJson(new Headers(headers), bodyOf(pieces, end));
}

async function statusOf(...sent: Parameters<typeof read>): Promise<RefusalStatus> {
  // What is thrown while the body is told about goes through whoever reads it.
  return (await assertRejects(async () => await read(...sent), AdminError)).status;
}

Deno.test("readJson() puts pieces together, and takes no body and an empty one for none", async () => {
  assertEquals(await read(['{"a":', '"', "ü", '"}']), { a: "ü" });
  assertEquals(await read(["", "1"], { "content-type": "Application/JSON ; charset=utf-8" }), 1);
  assertEquals(await readJson(new Headers(), undefined), undefined);
  assertEquals(await read([], {}), undefined);
  assertEquals(await read(["["].concat(Array.from({ length: 60_000 }, () => " "), "]")), []);
});

Deno.test("readJson() refuses by type, then by size, then by syntax", async () => {
  const long = "{".padEnd(65_537);
  assertEquals(await read(["1".padEnd(65_536)]), 1);
  for (const type of ["text/plain", "text/json", "application/jsonp", "application/x-www-form-urlencoded", ""]) {
    assertEquals(await statusOf([long], { "content-type": type }), 415, type);
    assertEquals(await statusOf([long], { "content-type": type, "content-length": "65537" }), 415, type);
  }
  assertEquals(await statusOf(["{".padEnd(40_000), "}".padEnd(40_000)]), 413);
  assertEquals(await statusOf([], { ...JSON_TYPE, "content-length": "65537" }), 413);
  assertEquals(await statusOf(["{"]), 400);
  assertEquals(await statusOf([" "]), 400);
});

Deno.test("readJson() refuses bytes that are no UTF-8", async () => {
  assertEquals(await statusOf([new Uint8Array([0x22, 0xff, 0x22])]), 400);
});

Deno.test("readJson() answers 408 to a body that is late, and 400 to one that breaks off", async () => {
  for (const [late, status] of [[true, 408], [false, 400]] as const) {
    assertEquals(await statusOf(["{"], JSON_TYPE, new BrokenBody("is over", { late })), status);
  }
});
