/**
 * HTTP/1.1 streams for property tests: well-formed ones, and with edits as attackers make them. One character per byte.
 */

import type { Buffer } from "node:buffer";
import fc from "fast-check";
import { latin1 } from "./http1_stream.ts";

/** A request that is hidden in a body, as in an attempt of request smuggling. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";

const REQUESTS = [
  "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
  "GET http://other.example/x HTTP/1.1\r\nHost: example.com\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n",
  "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX:\r\n\r\n",
  `POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: ${SMUGGLED.length}\r\nConnection: close\r\n\r\n${SMUGGLED}`,
  `PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n26;x=y;z="\\";\t\xe9"\r\n${SMUGGLED}\r\n0\r\nSum: 1\r\n\r\n`,
  `PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1A\r\n${
    SMUGGLED.slice(12)
  }\r\n0\r\n\r\n`,
];

const RESPONSES = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
  "HTTP/1.1 204 No Content\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\n",
  "HTTP/1.1 200 \r\nConnection: close\r\n\r\nuntil the end",
  "HTTP/1.0 304 Not Modified\r\nContent-Length: 9\r\nConnection: Keep-Alive\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
];

/** Header lines that change the meaning of a message, or look as if they did. */
const HOSTILE_LINES = [
  "Content-Length: 5\r\n",
  "content-length: 0\r\n",
  "Content-Length: +5\r\n",
  "Content-Length: 5, 5\r\n",
  "Content-Length:\r\n",
  "Content-Length: 99999999999999999999\r\n",
  "Content-Length : 5\r\n",
  "Content_Length: 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "TRANSFER-ENCODING:CHUNKED\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Transfer-Encoding: chunked, identity\r\n",
  "Transfer-Encoding: \vchunked\r\n",
  "Transfer-Encoding: xchunked\r\n",
  "Transfer-Encoding\t: chunked\r\n",
  " Transfer-Encoding: chunked\r\n",
  "\tfolded\r\n",
  "Host: evil\r\n",
  "Host:\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive\r\n",
  "Connection: \xa0close, x\r\n",
  "X: a\rb\r\n",
  "X: \xe9\xff\x80\r\n",
  ": empty\r\n",
  "no colon\r\n",
  "0\r\n\r\n",
  "\r\n",
  SMUGGLED,
];

const HOSTILE_TEXT = ["\n", "\r", "\r\n", "\0", " ", "\t", "\v", "\x7f", "\x80", "\xff", ":", ";", ",", "0", "9", "F"]
  .concat(["-", "+", "#", "@", "/", "*", "http://", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "GET ", "OPTIONS "]);

/** An edit: at a place in the text, or at the beginning of a line. */
const edit = fc.oneof(
  fc.record({ place: fc.nat(), dropped: fc.nat({ max: 3 }), put: fc.constantFrom("", ...HOSTILE_TEXT) }),
  fc.record({ place: fc.nat(), dropped: fc.constant(0), put: fc.constantFrom(...HOSTILE_LINES) }),
  fc.record({ place: fc.nat(), dropped: fc.constant(1), put: fc.nat(255).map((code) => String.fromCharCode(code)) }),
);
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never;

/** Up to three messages behind one another, and up to four edits. */
export const hostileRequests: fc.Arbitrary<string> = hostile(REQUESTS);
/** The same with responses. */
export const hostileResponses: fc.Arbitrary<string> = hostile(RESPONSES);

/** Cuts bytes into pieces; empty ones occur. */
export function inPieces(text: string): fc.Arbitrary<Buffer[]> {
  return fc.array(fc.nat({ max: text.length }), { maxLength: 12 }).map((cuts) => {
    const places = [0, ...cuts.toSorted((one, other) => one - other), text.length];
    return places.slice(1).map((place, index) => latin1(text.slice(places[index], place)));
  });
}

function hostile(messages: readonly string[]): fc.Arbitrary<string> {
  const stream = fc.array(fc.constantFrom(...messages), { minLength: 1, maxLength: 3 });
  return fc.tuple(stream, fc.array(edit, { maxLength: 4 }))
    .map(([messages, edits]) => edits.reduce(applyEdit, messages.join("")));
}

/** Inserts whole lines at the beginning of a line. */
function applyEdit(text: string, { place, dropped, put }: Edit): string {
  let at = place % (text.length + 1);
  if (put.endsWith("\r\n") && put.length > 2) at = text.lastIndexOf("\n", at) + 1;
  return text.slice(0, at) + put + text.slice(at + dropped);
}
