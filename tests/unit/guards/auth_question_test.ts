// What a server that is asked about a request reads: one GET, whatever the client has sent, and nothing that the client
// claims in the place of what is true.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { questionHead } from "../../../src/guards/auth_question.ts";
import type { PassingRequest } from "../../../src/guards/guard.ts";
import { looseName } from "../../../src/http1/loose_name.ts";
import { readRequestHead } from "../../../src/http1/request_head.ts";
import { backendAddress } from "../../../src/pool/backend_address.ts";
import { ForwardedTrust } from "../../../src/proxy/forwarded.ts";
import { forwardRequest } from "../../../src/proxy/headers.ts";
import { RandomHex } from "../../../src/proxy/ids.ts";
import type { HeaderPair } from "../../../src/proxy/message.ts";

const server = { ...backendAddress("https://auth.example:8443/base"), tls: { ca: null } } as Parameters<
  typeof questionHead
>[0];
const random = new RandomHex();

function questionFor(headers: HeaderPair[], trusted: readonly string[] = []): readonly HeaderPair[] {
  const { headers: arrived } = forwardRequest(
    {
      method: "POST",
      target: "/a?b",
      authority: "shop.example",
      headers,
      bodyBytes: 5,
      peer: "192.0.2.1",
      secure: true,
      protocol: "HTTP/1.1",
    },
    new ForwardedTrust(trusted),
    random,
  );
  const request = { arrived, method: "POST", uri: "/a?b" } as unknown as PassingRequest;
  const bytes = Buffer.from(`${questionHead(server, "/base/auth?x=1", request)}\r\n`, "latin1");
  const head = readRequestHead(bytes, 0, bytes.length);
  assertEquals([head.method, head.target], ["GET", "/base/auth?x=1"]);
  assertEquals(head.framing, { kind: "length", bytes: 0 });
  return head.fields;
}

const NAMES = [
  ...["Host", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For"],
  ...[
    "X-Forwarded-Prefix",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Transfer-Encoding",
    "Expect",
    "Range",
  ],
  ...["If-Match", "If-None-Match", "If-Range", "If", "Connection", "Upgrade", "TE", "Trailer", "Sec-WebSocket-Key"],
  ...["Keep-Alive", "Proxy-Authorization", "HTTP2-Settings"],
];
const KEPT = ["Cookie", "Authorization", "Accept", "Iffy", "Contents", "Ranges", "X-User"];

/** A name in any case, with any of the characters that careless programs read as `-`. */
const spelled = (name: string) =>
  fc.tuple(
    ...Array.from(name, (letter) =>
      letter === "-" ? fc.constantFrom(..."--_.~") : fc.constantFrom(letter.toLowerCase(), letter.toUpperCase())),
  ).map((letters) =>
    letters.join("")
  );

const header = fc.tuple(
  fc.constantFrom(...NAMES, ...KEPT).chain(spelled),
  fc.constantFrom("forged", "5", "chunked", "GET", "close, x-user"),
).map(([name, value]): HeaderPair => [name, value]);

Deno.test("questionHead() says what is true once, and nothing of the connection or the body", () => {
  fc.assert(fc.property(fc.array(header, { maxLength: 12 }), (headers) => {
    const fields = questionFor(headers);
    const values = (name: string) => fields.filter(([field]) => looseName(field) === name).map(([, value]) => value);
    assertEquals(values("host"), ["auth.example:8443"]);
    assertEquals(values("x-forwarded-method"), ["POST"]);
    assertEquals(values("x-forwarded-uri"), ["/a?b"]);
    assertEquals(values("x-forwarded-proto"), ["https"]);
    assertEquals(values("x-forwarded-host"), ["shop.example"]);
    assertEquals(values("x-forwarded-for"), ["192.0.2.1"]);
    const told = fields.map(([field]) => looseName(field));
    assert(
      !told.some((field) => /^(content-|if-|sec-websocket-)|^(if|range|expect|te|upgrade|connection)$/.test(field)),
    );
  }));
});

Deno.test("questionHead() keeps the headers that say who the client is, line by line", () => {
  const headers: HeaderPair[] = [["Cookie", "a=1"], ["Authorization", "Bearer x"], ["cookie", "b=2"], ["X-User", "me"]];
  const fields = questionFor(headers);
  for (const pair of headers) assert(fields.some(([name, value]) => name === pair[0] && value === pair[1]), pair[0]);
});

Deno.test("questionHead() tells what a trusted proxy says of the client, but not the method and the target", () => {
  const fields = questionFor([
    ["X-Forwarded-For", "198.51.100.1"],
    ["X-Forwarded-Proto", "http"],
    ["X-Forwarded-Method", "GET"],
    ["X-Forwarded-Uri", "/public"],
  ], ["192.0.2.1"]);
  const value = (name: string) => fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
  assertEquals(value("x-forwarded-for"), ["198.51.100.1, 192.0.2.1"]);
  assertEquals(value("x-forwarded-proto"), ["http"]);
  assertEquals(value("x-forwarded-method"), ["POST"]);
  assertEquals(value("x-forwarded-uri"), ["/a?b"]);
});
