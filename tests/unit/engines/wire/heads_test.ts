import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { readRequestHead } from "../../../../src/http1/request_head.ts";
import type { HeaderPair } from "../../../../src/proxy/message.ts";
import { latin1 } from "../../../support/http1_stream.ts";
import { CLOSE_LINE, requestHead, responseHead } from "../../../../src/engines/wire/heads.ts";

const GET = { method: "GET", target: "/" };
const POST = { method: "POST", target: "/p" };
const OK = { status: 200, reason: "OK" };

Deno.test("requestHead() puts a true length where one stood, once, or at the end where a body needs it", () => {
  const length = (bytes: number) => ({ kind: "length", bytes }) as const;
  const heads = [
    [requestHead(GET, [["Host", "a"]], length(0), ""), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    [
      requestHead(POST, [["content-LENGTH", "005"], ["Host", "a"]], length(5), ""),
      "POST /p HTTP/1.1\r\ncontent-LENGTH: 5\r\nHost: a\r\n\r\n",
    ],
    [
      requestHead(POST, [["Content-Length", "0"], ["Host", "a"]], length(0), ""),
      "POST /p HTTP/1.1\r\nContent-Length: 0\r\nHost: a\r\n\r\n",
    ],
    // An operator's rule may have taken the length out, or have put in one of its own.
    [requestHead(POST, [["Host", "a"]], length(5), ""), "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"],
    [
      requestHead(POST, [["Content-Length", "9"], ["Content-Length", "9"]], length(5), ""),
      "POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    ],
    [
      requestHead(POST, [["Content-Length", "9"], ["Host", "a"]], { kind: "chunked" }, "X: y\r\n"),
      "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n",
    ],
  ] as const;
  for (const [head, expected] of heads) assertEquals(head, expected);
});

Deno.test("responseHead() tells the framing that is true, nothing, or what the backend said of a body not sent", () => {
  const said = [["Content-Length", "12"], ["ETag", "x"]] as [string, string][];
  const heads = [
    [
      responseHead(OK, said, { kind: "length", bytes: 12 }, CLOSE_LINE),
      "Content-Length: 12\r\nETag: x\r\nConnection: close\r\n",
    ],
    [responseHead(OK, said, "as-given", ""), "Content-Length: 12\r\nETag: x\r\n"],
    [responseHead(OK, said, "nothing", ""), "ETag: x\r\n"],
    [responseHead(OK, said, { kind: "chunked" }, ""), "ETag: x\r\nTransfer-Encoding: chunked\r\n"],
    [responseHead(OK, said, { kind: "until-close" }, CLOSE_LINE), "ETag: x\r\nConnection: close\r\n"],
    [responseHead(OK, [["ETag", "x"]], { kind: "length", bytes: 0 }, ""), "ETag: x\r\nContent-Length: 0\r\n"],
    [responseHead(OK, [["ETag", "x"]], "as-given", ""), "ETag: x\r\n"],
  ] as const;
  for (const [head, lines] of heads) assertEquals(head, `HTTP/1.1 200 OK\r\n${lines}\r\n`);
  assertEquals(responseHead({ status: 299, reason: "" }, [], "nothing", ""), "HTTP/1.1 299 \r\n\r\n");
});

Deno.test("requestHead() copies the lines that cross unchanged as they stood, and nothing of those that do not", () => {
  const text = "GET / HTTP/1.1\r\nHost:a\r\nX:1\r\nContent-Length: 2\r\ny: \t2 \r\nZ: 3\r\n\r\n";
  const section = readRequestHead(latin1(text), 0, text.length);
  const [host, x, length, y, z] = section.fields as [HeaderPair, HeaderPair, HeaderPair, HeaderPair, HeaderPair];
  const added: HeaderPair = ["X-Added", "5"];
  const like: HeaderPair = ["X", "1"];
  const heads: [headers: HeaderPair[], bytes: number, fields: string][] = [
    [[host, x, length, y, z], 2, "Host:a\r\nX:1\r\nContent-Length: 2\r\ny: \t2 \r\nZ: 3\r\n"],
    [[host, x, length, y, z], 4, "Host:a\r\nX:1\r\nContent-Length: 4\r\ny: \t2 \r\nZ: 3\r\n"],
    [[host, y, added], 0, "Host:a\r\ny: \t2 \r\nX-Added: 5\r\n"],
    [[added, host, like, z], 0, "X-Added: 5\r\nHost:a\r\nX: 1\r\nZ: 3\r\n"],
    [[z, host, host], 0, "Z: 3\r\nHost: a\r\nHost: a\r\n"],
    [[], 0, ""],
  ];
  for (const [headers, bytes, fields] of heads) {
    const head = requestHead(GET, headers, { kind: "length", bytes }, "", section);
    assertEquals(head, `GET / HTTP/1.1\r\n${fields}\r\n`);
  }
});

Deno.test("requestHead() says the same with the text that the fields stood in as without", () => {
  const names = fc.constantFrom("A", "Bb", "Content-Length", "X-Long-Name");
  const lines = fc.array(fc.tuple(names, fc.stringMatching(/^[a-z0-9]{0,4}$/)), { maxLength: 8 });
  const picks = fc.array(fc.nat({ max: 9 }), { maxLength: 10 });
  fc.assert(fc.property(lines, picks, fc.nat({ max: 2 }), (pairs, picks, bytes) => {
    const given = pairs.map(([name, value]) => `${name}: ${value}\r\n`);
    const bounds = [0];
    for (const line of given) bounds.push((bounds.at(-1) ?? 0) + line.length);
    const headers = picks.map((pick): HeaderPair => pairs[pick] ?? ["New", String(pick)]);
    const framing = { kind: "length", bytes } as const;
    const section = { fields: pairs, text: given.join(""), bounds };
    assertEquals(requestHead(GET, headers, framing, "", section), requestHead(GET, headers, framing, ""));
  }));
});
