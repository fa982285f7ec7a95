import { assert, assertEquals } from "@std/assert";
import { configSchema } from "../../../../../src/config/schema.ts";
import { ClientConnection } from "../../../../../src/engines/wire/client/client_connection.ts";
import { WireContext } from "../../../../../src/engines/wire/context.ts";
import type { WireExchange } from "../../../../../src/engines/wire/wire_exchange.ts";
import { ProxyError } from "../../../../../src/errors.ts";
import type { Forwarder } from "../../../../../src/proxy/forwarder.ts";
import { problemFor } from "../../../../../src/proxy/problem.ts";
import { FakeLink } from "../../../../support/fake_link.ts";
import { Pace } from "../../../../../src/net/pace.ts";
import { RecordingLog } from "../../../../support/log.ts";
import { poolOf, together } from "../../../../support/pool.ts";
import { waitFor } from "../../../../support/wait.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

const TOO_LATE = new ProxyError("too late", { code: "head_timeout", side: "client", requestSent: false });

/** A client's connection whose requests a test answers. */
function serve(handle: (exchange: WireExchange) => Promise<void>, timeouts: { readonly header?: number } = {}) {
  const link = new FakeLink();
  const context = new WireContext({
    config: configSchema.parse({ engine: "wire", timeouts }),
    pools: together(poolOf([1])),
    forwarder: {
      begin: (exchange: WireExchange) => exchange,
      tell: handle,
      refuse: () => problemFor(TOO_LATE, "id", 1),
    } as unknown as Forwarder,
    log: new RecordingLog(),
    secure: false,
    pace: new Pace(undefined),
  });
  const connection = new ClientConnection(link, { peer: "192.0.2.1", secure: false, local: "127.0.0.1:80" }, context);
  const served = connection.serve({ proxyProtocol: false });
  return {
    link,
    connection,
    context,
    async [Symbol.asyncDispose]() {
      connection.close();
      await served;
      context.close();
    },
  };
}

Deno.test("ClientConnection leaves the socket alone while an upload may be sending what it has read", async () => {
  // A pipelined body and a backend that read slowly: the next read moved or overwrote bytes on their way to the
  // backend, which got something else than the client had sent.
  const done = Promise.withResolvers<void>();
  const exchanges: WireExchange[] = [];
  await using client = serve(async (exchange) => {
    exchanges.push(exchange);
    await done.promise;
  });
  const { link, connection } = client;
  link.deliver(bytesOf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart"));
  await waitFor(() => exchanges.length === 1, { what: "the request" });
  assertEquals(link.isRead, false);
  connection.inlet.read(); // one that was under way, as behind an earlier request
  link.deliver(bytesOf("more"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([link.isRead, connection.inlet.unread], [false, 8]);
  done.resolve();
});

Deno.test("ClientConnection reads on behind a request without a body, to notice who leaves", async () => {
  const done = Promise.withResolvers<void>();
  const exchanges: WireExchange[] = [];
  await using client = serve(async (exchange) => {
    exchanges.push(exchange);
    await done.promise;
  });
  const { link } = client;
  link.deliver(bytesOf("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  await waitFor(() => exchanges.length === 1 && link.isRead, { what: "the request" });
  link.deliver(bytesOf("GET /next HTTP/1.1\r\n"));
  await waitFor(() => link.isRead, { what: "another read" });
  assertEquals(exchanges[0]?.brokenOff, undefined);
  link.end();
  await waitFor(() => exchanges[0]?.brokenOff?.code === "client_gone", { what: "the client's leaving" });
  done.resolve();
});

Deno.test("ClientConnection: a request that waits to be admitted is not idle, and not sent when its client leaves", async () => {
  const refusals: (string | undefined)[] = [];
  await using client = serve((exchange) => Promise.resolve(void refusals.push(exchange.brokenOff?.code)));
  const { link, connection, context } = client;
  const turn = Promise.withResolvers<number>();
  Object.defineProperties(context.admission, { free: { value: false }, wait: { value: () => turn.promise } });
  link.deliver(bytesOf("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  await waitFor(() => link.isRead && !connection.idle, { what: "the request" });
  assertEquals(refusals, []);
  link.end();
  await waitFor(() => connection.inlet.ended, { what: "the client's leaving" });
  turn.resolve(context.admission.begin());
  await waitFor(() => refusals.length === 1, { what: "the request to be admitted" });
  assertEquals(refusals, ["client_gone"]);
});

Deno.test("ClientConnection answers a head that is late, and takes no request from what comes meanwhile", async () => {
  // The rest of the head came while the 408 was on its way: the request was carried out, and sent again by its client.
  let handled = 0;
  await using client = serve(() => Promise.resolve(void handled++), { header: 50 });
  const { link } = client;
  const writable = Promise.withResolvers<void>();
  link.gate = writable.promise;
  link.deliver(bytesOf("POST / HTTP/1.1\r\nHost: x\r\n"));
  await waitFor(() => link.writing, { what: "the 408" });
  link.deliver(bytesOf("Content-Length: 0\r\n\r\n"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(link.closed, false);
  writable.resolve();
  await waitFor(() => link.closed, { what: "the end" });
  assertEquals([handled, new TextDecoder().decode(link.written[0]).slice(0, 12)], [0, "HTTP/1.1 408"]);
});

for (
  const { name, head, given } of [
    { name: "without a body", head: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", given: true },
    { name: "with a body", head: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n", given: false },
    {
      name: "that asks for an upgrade",
      head: "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      given: false,
    },
  ]
) {
  const what = given ? "gives its buffer to the next connection" : "keeps a buffer that may still be sent from";
  Deno.test(`ClientConnection ${what}, after a request ${name}`, async () => {
    // A backend that reads slowly must not get what another client has sent.
    await using client = serve(() => Promise.resolve());
    const { link, connection, context } = client;
    const { bytes } = connection.inlet;
    link.deliver(bytesOf(head));
    await waitFor(() => link.writeClosed, { what: "the end of the answers" });
    assert(context.headBuffers.take() !== bytes, "the client may still send something");
    if (!link.isRead) await waitFor(() => link.isRead, { what: "the wait for the client's end" });
    link.end();
    await waitFor(() => link.closed, { what: "the end of the connection" });
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals(context.headBuffers.take() === bytes, given);
  });
}

Deno.test("ClientConnection gives its buffer away only when no read can write to it any more", async () => {
  await using client = serve(() => Promise.resolve());
  const { link, connection, context } = client;
  const { bytes } = connection.inlet;
  connection.close();
  assert(context.headBuffers.take() !== bytes);
  await waitFor(() => connection.inlet.ended && link.closed, { what: "the end of the read" });
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(context.headBuffers.take(), bytes);
});
