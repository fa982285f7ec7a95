// A server that answers with a list: well, wrongly, slowly, without end or not at all.

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import type { Clock } from "../../../src/net/clock.ts";
import { HttpSource } from "../../../src/sources/http.ts";
import { Told } from "../../support/source.ts";
import { hurriedClock, ManualClock } from "../../support/wait.ts";

/** A server whose answers a test sets. */
class ListServer implements AsyncDisposable {
  readonly asked: string[] = [];
  answer: () => Response | Promise<Response> = () => new Response("[]");
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(port = 0) {
    this.#server = Deno.serve({ port, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
      this.asked.push(request.url);
      return this.answer();
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function asking(port: number, clock: Clock = hurriedClock): Told {
  const url = `http://127.0.0.1:${port}/list?token=hidden`;
  return new Told(new HttpSource({ url, refreshMs: 100 }, { clock, random: () => 0.5 }));
}

const list = (...urls: readonly string[]) => () => new Response(JSON.stringify(urls));

Deno.test("HttpSource asks again and again, and tells each answer", async () => {
  await using server = new ListServer();
  server.answer = list("http://a");
  await using told = asking(server.port);
  await told.finds("http://a");
  server.answer = () => new Response(JSON.stringify([{ targets: ["b:1"] }]), { headers: { "content-type": "x/y" } });
  await told.finds("http://b:1");
  server.answer = list();
  await told.finds();
  assertEquals(told.failures, []);
  assertEquals(new URL(server.asked[0] ?? "").search, "?token=hidden");
});

Deno.test("HttpSource says in one line what is wrong, without the URL, and comes back by itself", async () => {
  await using server = new ListServer();
  server.answer = () => new Response("gone", { status: 503 });
  await using told = asking(server.port);
  assertEquals(await told.fails(), "got status 503, want 200");
  server.answer = () => new Response("<html>");
  assertMatch(await told.fails("JSON"), /^want JSON: [^\n]+$/);
  server.answer = list("http://a", "http://b:0");
  assertMatch(await told.fails("[1]"), /^\[1\]: got "http:\/\/b:0", want /);
  server.answer = () => new Response(new Uint8Array([0xff, 0xfe]));
  assertEquals(await told.fails("UTF-8"), "got bytes that are not UTF-8 in a response");
  server.answer = () => new Response(new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(65_536).fill(32)) }));
  assertEquals(await told.fails("got more than"), "got more than 4194304 bytes as a response");
  server.answer = list("http://a");
  await told.finds("http://a");
  assert(!told.failures.some((failure) => failure.includes("hidden")), told.failures.join("\n"));
});

Deno.test("HttpSource tries again when nobody listens, and finds the server that comes", async () => {
  const before = new ListServer();
  const { port } = before;
  await before[Symbol.asyncDispose]();
  await using told = asking(port);
  const failure = await told.fails();
  assert(!failure.includes("hidden") && !failure.includes("\n"), failure);
  await using server = new ListServer(port);
  server.answer = list("http://a");
  await told.finds("http://a");
});

Deno.test("HttpSource gives up an answer that never ends after 5 s", async () => {
  await using server = new ListServer();
  const cut = Promise.withResolvers<void>();
  server.answer = () =>
    new Response(
      new ReadableStream({
        start: (to) => to.enqueue(new TextEncoder().encode("[")),
        cancel: () => cut.resolve(),
      }),
    );
  const clock = new ManualClock();
  await using told = asking(server.port, clock);
  while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await clock.advance(4999);
  assertEquals(told.all, []);
  await clock.advance(1);
  assertEquals(await told.fails(), "no complete answer within 5 s");
  await cut.promise;
});

Deno.test("HttpSource keeps the bytes of an answer and not its pieces, each of which holds 64 KiB", async () => {
  // All pieces of an answer were kept until its end. A server that sent one byte at a time took gigabytes.
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const server = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    const pieces = "1\r\n \r\n".repeat(20_000);
    const head = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    const bytes = new TextEncoder().encode(`${head}${pieces}e\r\n["http://a/"]\n\r\n0\r\n\r\n`);
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  })();
  let most = 0;
  const sampling = setInterval(() => most = Math.max(most, Deno.memoryUsage().external), 5);
  const before = Deno.memoryUsage().external;
  await using told = asking(listener.addr.port, new ManualClock());
  await told.finds("http://a");
  clearInterval(sampling);
  await server;
  assertLess(most - before, 300 * 1024 * 1024);
});
