import { getHeapStatistics } from "node:v8";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { peerAddress } from "../../../src/net/peer.ts";
import { SharedPort } from "../../../src/net/shared_port.ts";
import { RawClient } from "../../support/raw_client.ts";

const ANY = { hostname: "127.0.0.1", port: 0 };

async function bound(): Promise<SharedPort> {
  const port = await SharedPort.bind(ANY);
  assert(port !== undefined);
  return port;
}

/** A connection to a listener, and what the listener makes of it. */
async function connected(port: SharedPort): Promise<[RawClient, Deno.TcpConn]> {
  const accepting = port.accept();
  const client = await RawClient.connect(port.addr.port);
  return [client, await accepting];
}

Deno.test("SharedPort accepts clients as the runtime's own listener does", async () => {
  const port = await bound();
  const [client, connection] = await connected(port);
  using _ = client;
  assertEquals(connection.localAddr, port.addr);
  assertEquals(connection.remoteAddr.hostname, "127.0.0.1");
  connection.setNoDelay(true);
  connection.setKeepAlive(true);
  await connection.write(new TextEncoder().encode("hello"));
  connection.close();
  assertEquals(new TextDecoder().decode(await client.rest()), "hello");
  port.close();
});

for (const hostname of ["::1", "::"]) {
  Deno.test(`SharedPort listens at ${hostname}`, async () => {
    const port = await SharedPort.bind({ hostname, port: 0 });
    assert(port !== undefined);
    const accepting = port.accept();
    using client = await Deno.connect({ hostname: "::1", port: port.addr.port });
    using connection = await accepting;
    assertEquals([port.addr.hostname, connection.remoteAddr], [hostname, client.localAddr as Deno.NetAddr]);
    port.close();
  });
}

for (const hostname of ["127.0.0.2", "0.0.0.0", "::"]) {
  Deno.test(`SharedPort at ${hostname} tells which address a client has connected to`, async () => {
    const port = await SharedPort.bind({ hostname, port: 0 });
    assert(port !== undefined);
    const accepting = port.accept();
    using client = await Deno.connect({ hostname: "127.0.0.2", port: port.addr.port });
    using connection = await accepting;
    const { localAddr } = connection;
    assertEquals(peerAddress(localAddr.hostname), "127.0.0.2");
    assertEquals(localAddr.port, (client.remoteAddr as Deno.NetAddr).port);
    port.close();
  });
}

Deno.test("SharedPort takes clients one after the other, however many have connected before", async () => {
  const port = await bound();
  const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(port.addr.port)));
  for (const _ of clients) (await port.accept()).close();
  for (const client of clients) client[Symbol.dispose]();
  const [client, connection] = await connected(port); // it has not stopped looking
  client[Symbol.dispose]();
  connection.close();
  port.close();
});

// The runtime kept 1.5 KB for each connection that a client had ever opened: after 30,000 of them 45 MB.
Deno.test("SharedPort keeps nothing in memory for clients that have come and gone", async () => {
  const port = await bound();
  const comeAndGo = async (clients: number) => {
    for (let i = 0; i < clients; i++) {
      const [client, connection] = await connected(port);
      client[Symbol.dispose]();
      connection.close();
    }
    return getHeapStatistics().used_global_handles_size;
  };
  const before = await comeAndGo(200);
  const grown = await comeAndGo(500) - before;
  assert(grown < 32 * 100, `${grown} bytes of handles for 500 clients`); // each one takes 32
  port.close();
});

// After clients had come while nobody waited, each look found one more client and was the last. So clients that connect
// again and again, such as load generators and PHP, were accepted at the pace of a timer, ten a second.
Deno.test("SharedPort accepts clients that connect again and again, without its timer", async () => {
  const port = await withoutIntervals(bound);
  const script = new URL("./hurried_clients.ts", import.meta.url).pathname;
  const args = ["run", "--allow-net=127.0.0.1", script, `${port.addr.port}`, "64", "2000"];
  const clients = new Deno.Command(Deno.execPath(), { args, stdout: "null" }).spawn();
  const stalled = setTimeout(() => clients.kill("SIGKILL"), 20_000);
  const served = serveHurried(port);
  assert((await clients.status).success, "clients were not accepted");
  clearTimeout(stalled);
  port.close();
  await served;
});

/** Does it while intervals that it sets never come. */
async function withoutIntervals<T>(make: () => Promise<T>): Promise<T> {
  const { setInterval } = globalThis;
  Object.assign(globalThis, { setInterval: () => 0 });
  try {
    return await make();
  } finally {
    Object.assign(globalThis, { setInterval });
  }
}

/** Answers each client, and gives the event loop a turn every 5 ms, as the proxy does. Settles when the port closes. */
async function serveHurried(port: SharedPort): Promise<void> {
  const serve = async (client: Deno.TcpConn) => {
    const buffer = new Uint8Array(64);
    using _ = client;
    await client.read(buffer);
    await client.write(buffer);
    await client.closeWrite();
    await client.read(buffer);
  };
  const serving = new Set<Promise<void>>();
  for (let busySince = performance.now();;) {
    const client = await port.accept().catch(() => undefined);
    if (client === undefined) break;
    const served = serve(client).catch(() => {}).finally(() => serving.delete(served));
    serving.add(served);
    if (performance.now() - busySince < 5) continue;
    await new Promise((resolve) => setTimeout(resolve));
    busySince = performance.now();
  }
  await Promise.all(serving);
}

/** How many clients `accept` gives before the event loop has its next turn. */
async function takenAhead(port: SharedPort): Promise<number> {
  let taken = 0;
  for (let before = -1; before < taken;) {
    before = taken;
    port.accept().then((client) => (taken++, client.close()), () => {});
    await Promise.resolve().then(() => {});
  }
  return taken;
}

// On a loop with turns of 20 ms, one client was accepted after each rest of the acceptor, and no other before the next
// turn. Of 700 that connected at once, the last one waited for more than a second.
Deno.test("SharedPort takes some clients ahead while the event loop has a turn", async () => {
  const port = await bound();
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(port.addr.port)));
  for (let turn = 0; turn < 5; turn++) await port.turn();
  const taken = await takenAhead(port);
  assert(taken > 20 && taken <= 65, `${taken} of 100`); // 64, and one that was ready
  port.close();
  for (const client of clients) client[Symbol.dispose]();
});

Deno.test("SharedPort closes clients that it has taken ahead at its end", async () => {
  const port = await bound();
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(port.addr.port)));
  for (let turn = 0; turn < 5; turn++) await port.turn();
  port.close();
  for (const client of clients) {
    await client.rest();
    client[Symbol.dispose]();
  }
});

Deno.test("SharedPort.bind() gives up at an address that is taken", async () => {
  const port = await bound();
  assertEquals(await SharedPort.bind({ ...ANY, port: port.addr.port }), undefined);
  assertEquals(await SharedPort.bind({ hostname: "192.0.2.1", port: 0 }), undefined);
  port.close();
});

Deno.test("SharedPort.inherit() refuses what is no listening TCP socket", async () => {
  await assertRejects(() => SharedPort.inherit(9999), Error, "9999 is not a listening TCP socket");
});

Deno.test("a socket that is shared goes on when one of its listeners closes", async () => {
  const first = await bound();
  const descriptor = first.offer();
  first.resume();
  assert(descriptor !== undefined);
  const second = await SharedPort.inherit(descriptor);
  assertEquals(second.addr, first.addr);
  using waiting = await RawClient.connect(first.addr.port); // nobody has accepted it yet
  first.close();
  const [client, connection] = await connected(second);
  connection.close();
  assertEquals(await waiting.closed(), true);
  client[Symbol.dispose]();
  (await second.accept()).close();
  second.close();
});

Deno.test("SharedPort ends a wait when it is closed, and accepts nobody any more", async () => {
  const port = await bound();
  const accepting = port.accept();
  port.close();
  port.close();
  await assertRejects(() => accepting, Deno.errors.BadResource);
  await assertRejects(() => port.accept(), Deno.errors.BadResource);
  assertEquals(port.offer(), undefined);
});
