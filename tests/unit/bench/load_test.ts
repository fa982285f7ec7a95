import { assertEquals, assertThrows } from "@std/assert";
import { Connection, getRequest, parseHead } from "../../../scripts/bench/load/connection.ts";
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

Deno.test("Connection reads answers one after the other, however they are cut, and notices a broken one", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const long = "y".repeat(10_000);
  const text =
    `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 Not Found\r\nContent-Length: 10000\r\n\r\n${long}` +
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
  // Each part is the rest of one answer, so that it comes after its request.
  const cuts = [5, 37, 41, 60, 5_000, text.indexOf("HTTP/1.1 200 OK", 10), text.length];
  const server = (async () => {
    using socket = await listener.accept();
    const into = new Uint8Array(200);
    let from = 0;
    for (const to of cuts) {
      if ([0, 41, text.indexOf("HTTP/1.1 200 OK", 10)].includes(from)) await socket.read(into);
      await socket.write(new TextEncoder().encode(text.slice(from, to)));
      from = to;
    }
  })();
  using connection = await Connection.open(listener.addr.port);
  const request = getRequest(listener.addr.port, "/");
  assertEquals(await connection.exchange(request), { status: 200, start: "abc" });
  const { status, start } = await connection.exchange(request);
  assertEquals([status, /^y+$/.test(start)], [404, true]);
  const broken = await connection.exchange(request).catch((error) => error.message);
  assertEquals(broken, "the connection ended before the answer did");
  await server;
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
