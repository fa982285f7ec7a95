import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Connection, getRequest, parseHead, type Socket } from "../../../scripts/bench/load/connection.ts";
import { messageFrame } from "../../../scripts/bench/load/websocket.ts";
import { misplaced } from "../../../scripts/bench/scenarios/failure.ts";

Deno.test("parseHead() wants a status and a length", () => {
  assertEquals(parseHead("HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH:  42\r\n\r\n"), { status: 200, bodyBytes: 42 });
  assertEquals(parseHead("HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n"), { status: 503, bodyBytes: 0 });
  for (
    const head of ["", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "SSH-2.0\r\nContent-Length: 1\r\n\r\n"]
  ) {
    assertThrows(() => parseHead(head), Error, "no plain answer");
  }
});

/** A socket from which `parts` come, one a read, and then the end. */
function scriptedSocket(parts: string[]): Socket & { readonly sent: string[] } {
  const sent: string[] = [];
  return {
    sent,
    read(into) {
      const part = parts.shift();
      if (part === undefined) return Promise.resolve(null);
      const { read, written } = new TextEncoder().encodeInto(part, into);
      if (read < part.length) parts.unshift(part.slice(read));
      return Promise.resolve(written);
    },
    write(bytes) {
      const taken = bytes.subarray(0, 20); // a socket need not take all at once
      sent.push(new TextDecoder().decode(taken));
      return Promise.resolve(taken.length);
    },
    close: () => {},
  };
}

Deno.test("Connection reads answers one after the other, however they are cut, and notices a broken one", async () => {
  const long = Array.from({ length: 5 }, () => "y".repeat(2_000));
  const socket = scriptedSocket([
    ...["HTTP/", "1.1 200 OK\r\nContent-Length: 3\r", "\n\r", "\na", "bc"],
    ...["HTTP/1.1 404 Not Found\r\nContent-Length: 10000\r\n\r\n", ...long],
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
  ]);
  using connection = new Connection(socket);
  const request = getRequest(8080, "/a");
  assertEquals(await connection.exchange(request), { status: 200, start: "abc" });
  assertEquals(socket.sent.join(""), "GET /a HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
  const { status, start } = await connection.exchange(request);
  assertEquals([status, /^y{4000,}$/.test(start)], [404, true]);
  assertEquals(await connection.exchange(request), { status: 204, start: "" });
  await assertRejects(() => connection.exchange(request), Error, "the connection ended before the answer did");
});

Deno.test("messageFrame() is a final, masked text message", () => {
  assertEquals([...messageFrame(3)], [0x81, 0x83, 0, 0, 0, 0, 120, 120, 120]);
});

Deno.test("misplaced() counts what lies beyond equal shares", () => {
  assertEquals(misplaced({ a: 500, b: 500 }, 2), 0);
  assertEquals(misplaced({ a: 600, b: 400 }, 2), 100);
  assertEquals(misplaced({ a: 1_000 }, 2), 500);
  assertEquals(misplaced({ a: 501, b: 500 }, 2), 0.5);
});
