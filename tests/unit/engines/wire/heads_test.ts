import { assertEquals } from "@std/assert";
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
