// The admin API's checks by themselves: what counts as local, as the same origin, as a body.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  isLocalAuthority,
  isSameOrigin,
  operationOf,
  queryOf,
  readJson,
  type Route,
} from "../../../src/admin/guard.ts";
import { AdminProblem, type ProblemStatus } from "../../../src/admin/problem.ts";

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

const operation = { answer: () => new Response() };

Deno.test("operationOf() gives HEAD what GET has, and lists what there is for other methods", () => {
  const route: Route = { path: "/x", methods: { GET: operation, DELETE: { ...operation, query: ["id"] } } };
  assertEquals(operationOf(route, "HEAD"), operation);
  assertEquals(operationOf(route, "DELETE").query, ["id"]);
  for (const method of ["POST", "get", "OPTIONS", "toString", "__proto__"]) {
    const problem = assertThrows(() => operationOf(route, method), AdminProblem);
    assertEquals([problem.status, problem.headers], [405, { allow: "GET, HEAD, DELETE" }]);
  }
  const write: Route = { path: "/x", methods: { POST: operation } };
  assertEquals(assertThrows(() => operationOf(write, "HEAD"), AdminProblem).headers, { allow: "POST" });
});

Deno.test("queryOf() decodes what the operation knows and refuses the rest", () => {
  const known = { ...operation, query: ["url", "id"] };
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
  ) assertThrows(() => queryOf(`http://h/backends?${query}`, known), AdminProblem, detail);
});

/** A POST whose body comes in these chunks; `headers` say what the client says of it. */
function post(chunks: readonly string[], headers: Record<string, string> = { "content-type": "application/json" }) {
  const body = ReadableStream.from(chunks.map((chunk) => new TextEncoder().encode(chunk)));
  return new Request("http://localhost/", { method: "POST", headers, body });
}

async function statusOf(request: Request): Promise<ProblemStatus> {
  return (await assertRejects(() => readJson(request, 1000), AdminProblem)).status;
}

Deno.test("readJson() puts chunks together, and takes no body and an empty one for none", async () => {
  assertEquals(await readJson(post(['{"a":', '"', "ü", '"}']), 1000), { a: "ü" });
  assertEquals(await readJson(post(["", "1"], { "content-type": "Application/JSON ; charset=utf-8" }), 1000), 1);
  assertEquals(await readJson(new Request("http://localhost/", { method: "POST" }), 1000), undefined);
  assertEquals(await readJson(post([], {}), 1000), undefined);
  assertEquals(await readJson(post([], { "content-length": "0", "content-type": "text/plain" }), 1000), undefined);
});

Deno.test("readJson() refuses by type, then by size, then by syntax", async () => {
  const json = "application/json";
  const long = "{".padEnd(65_537);
  assertEquals(await readJson(post(["1".padEnd(65_536)]), 1000), 1);
  for (const type of ["text/plain", "text/json", "application/jsonp", "application/x-www-form-urlencoded", ""]) {
    assertEquals(await statusOf(post([long], { "content-type": type })), 415, type);
    assertEquals(await statusOf(post([long], { "content-type": type, "content-length": "65537" })), 415, type);
  }
  assertEquals(await statusOf(post(["{".padEnd(40_000), "}".padEnd(40_000)])), 413);
  assertEquals(await statusOf(post([], { "content-type": json, "content-length": "65537" })), 413);
  assertEquals(await statusOf(post(["{"])), 400);
  assertEquals(await statusOf(post([" "])), 400);
});

Deno.test("readJson() refuses bytes that are no UTF-8", async () => {
  const body = new Uint8Array([0x22, 0xff, 0x22]);
  const headers = { "content-type": "application/json" };
  assertEquals(await statusOf(new Request("http://localhost/", { method: "POST", headers, body })), 400);
});

Deno.test("readJson() lets go of the body when its time is over, and when the client breaks off", async () => {
  let cancelled = false;
  const stalled = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
    cancel: () => {
      cancelled = true;
    },
  });
  const broken = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(new TypeError("gone")) });
  const headers = { "content-type": "application/json" };
  const request = (body: ReadableStream) => new Request("http://localhost/", { method: "POST", headers, body });
  const late = await assertRejects(() => readJson(request(stalled), 1), AdminProblem);
  assertEquals([late.status, cancelled], [408, true]);
  assertEquals(await statusOf(request(broken)), 400);
});
