/** What requests tell about a backend, through the whole proxy. */

import { assertEquals } from "@std/assert";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";
import { ask, type EngineUnderTest, get, startProxy, within } from "./engine_under_test.ts";

/** A backend with a status that a test may change; `undefined` breaks off. */
class Moody {
  status: number | undefined;
  readonly backend = new RecordingBackend(() => {
    return this.status === undefined ? undefined : `HTTP/1.1 ${this.status} X\r\nContent-Length: 0\r\n\r\n`;
  });

  constructor(status: number | undefined) {
    this.status = status;
  }

  get url(): string {
    return this.backend.url;
  }

  get requests(): number {
    return this.backend.requests.length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
  }
}

export function testPassiveHealth(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: passive health: ${what}`;

  Deno.test(name("serverErrors answers of 5xx eject a backend, and it comes back after ejectFor"), async () => {
    await using bad = new Moody(500);
    await using good = new Moody(200);
    await using proxy = await startProxy(engine, {
      backends: [bad.url, good.url],
      passive: { serverErrors: 3, window: "1m", ejectFor: 300 },
    });
    using client = await RawClient.connect(proxy.port);
    const statuses: number[] = [];
    for (let request = 0; request < 12; request++) {
      const { status } = await ask(client, get("/"));
      statuses.push(status);
      // With several workers the failures are counted where a message takes them.
      if (status === 500 && bad.requests === 3) {
        await waitFor(() => !proxy.backend(bad.url).alive, { what: "the ejection" });
      }
    }
    assertEquals(statuses.filter((status) => status === 500).length, 3);
    assertEquals([bad.requests, proxy.backend(bad.url).alive], [3, false]);
    await proxy.roundhouse.settled();
    assertEquals(proxy.log.of("backend down").length, 1);
    bad.status = 200;
    await waitFor(() => proxy.backend(bad.url).alive, { what: "the end of the ejection" });
    for (let request = 0; request < 4; request++) await ask(client, get("/"));
    assertEquals(bad.requests, 5);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("connectFailures refused connections in a row mark a backend down, and others answer"), async () => {
    for (const connectFailures of [1, 3]) {
      await using good = new Moody(200);
      const dead = refusedUrl();
      await using proxy = await startProxy(engine, { backends: [dead, good.url], passive: { connectFailures } });
      using client = await RawClient.connect(proxy.port);
      for (let request = 0; request < 10; request++) assertEquals((await ask(client, get("/"))).status, 200);
      // Marked down it is not tried again.
      const { alive, totalRequests, totalFailures } = proxy.backend(dead);
      assertEquals([alive, totalRequests, totalFailures], [false, connectFailures, connectFailures]);
      await proxy.roundhouse.settled();
      assertEquals(proxy.log.of("backend down").length, 1);
      client.close();
      await proxy.idle();
      const totals = { total: 10, active: 0, failed: 0, retried: connectFailures, queued: 0 };
      assertEquals(proxy.roundhouse.memory.requestTotals(), totals);
    }
  });

  Deno.test(name("failures of requests count like 5xx, other answers do not"), async () => {
    await using bad = new Moody(undefined);
    await using good = new Moody(404);
    await using proxy = await startProxy(engine, {
      backends: [bad.url, good.url],
      passive: { serverErrors: 2, ejectFor: "1h" },
      retries: { attempts: 0 },
    });
    using client = await RawClient.connect(proxy.port);
    const statuses: number[] = [];
    for (let request = 0; request < 10; request++) {
      const { status } = await ask(client, get("/"));
      statuses.push(status);
      if (status === 502 && bad.requests === 2) {
        await waitFor(() => !proxy.backend(bad.url).alive, { what: "the ejection" });
      }
    }
    assertEquals(statuses.filter((status) => status === 502).length, 2);
    assertEquals([proxy.backend(bad.url).alive, proxy.backend(good.url).alive], [false, true]);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("never more than maxEjected are out"), async () => {
    const backends = [1, 2, 3, 4].map(() => new Moody(503));
    await using proxy = await startProxy(engine, {
      backends: backends.map(({ url }) => url),
      passive: { serverErrors: 1, ejectFor: "1h", maxEjected: 0.5 },
    });
    using client = await RawClient.connect(proxy.port);
    for (let request = 0; request < 20; request++) assertEquals((await ask(client, get("/"))).status, 503);
    await waitFor(() => proxy.backends.filter(({ alive }) => !alive).length === 2, { what: "two ejections" });
    client.close();
    await proxy.idle();
    for (const backend of backends) await backend[Symbol.asyncDispose]();
  });

  Deno.test(name("the last eligible backend is never ejected"), async () => {
    const backends = [new Moody(500), new Moody(500)];
    await using proxy = await startProxy(engine, {
      backends: backends.map(({ url }) => url),
      passive: { serverErrors: 1, ejectFor: "1h" },
    });
    using client = await RawClient.connect(proxy.port);
    for (let request = 0; request < 10; request++) {
      assertEquals((await ask(client, get("/"))).status, 500, "an answer of the backend's own, not 503");
    }
    await proxy.roundhouse.settled();
    assertEquals(proxy.backends.filter(({ alive }) => alive).length, 1);
    client.close();
    await proxy.idle();
    for (const backend of backends) await backend[Symbol.asyncDispose]();
  });

  Deno.test(name("refused connections never take out the last backend where nothing checks"), async () => {
    // Nobody was asked any more for ten seconds, though the backend was back after one.
    const urls = [refusedUrl(), refusedUrl()];
    await using proxy = await startProxy(engine, { backends: urls, retries: { attempts: 0 } });
    using client = await RawClient.connect(proxy.port);
    for (let request = 0; request < 6; request++) assertEquals((await ask(client, get("/"))).status, 502);
    await proxy.roundhouse.settled();
    assertEquals(proxy.backends.filter(({ alive }) => alive).length, 1);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("a backend that refuses uploads and cuts the rest off is not to blame"), async () => {
    // A backend that answered 413 and closed with the upload unread counted as failing, and was ejected by its clients.
    await using refusing = new RawBackend(async (connection) => {
      if (!await connection.head()) return;
      await connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
      connection.close();
    });
    await using other = new Moody(200); // the last one would not be ejected
    await using proxy = await startProxy(engine, {
      backends: [refusing.url, { url: other.url, backup: true }],
      passive: { serverErrors: 1, connectFailures: 1, ejectFor: "1h" },
    });
    const body = new Uint8Array(5_000_000);
    const framings = [
      [`Content-Length: ${body.length}\r\n\r\n`, ""],
      [`Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n`, "\r\n0\r\n\r\n"],
    ] as const;
    for (let upload = 0; upload < 10; upload++) {
      const [head, end] = framings[upload % 2] ?? framings[0];
      using client = await RawClient.connect(proxy.port);
      const sent = client.send(`POST / HTTP/1.1\r\nHost: x\r\n${head}`).then(() => client.send(body))
        .then(() => client.send(end)).catch(() => {}); // closed is fine
      const response = await within(client.response(), "the refusal");
      // `fetch` never reads an answer behind a write that failed.
      if (engine.name === "wire" || response?.status !== 502) assertEquals(response?.status, 413);
      client.close();
      await sent;
      await proxy.idle();
    }
    const { alive, totalRequests, totalFailures } = proxy.backend(refusing.url);
    assertEquals([alive, totalRequests, totalFailures], [true, 10, 0]);
  });

  Deno.test(name("a backend that dies under an upload is to blame"), async () => {
    // Nobody may keep a dead backend in rotation by uploads that never end.
    await using dying = new RawBackend(async (connection) => {
      await connection.until("part");
    });
    await using other = new Moody(200);
    await using proxy = await startProxy(engine, {
      backends: [dying.url, { url: other.url, backup: true }],
      passive: { serverErrors: 1, ejectFor: "1h" },
    });
    using client = await RawClient.connect(proxy.port);
    await client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\npart");
    await within(client.response(), "the failure");
    await waitFor(() => !proxy.backend(dying.url).alive, { what: "the ejection" });
    assertEquals(proxy.backend(dying.url).totalFailures, 1);
    client.close();
    await proxy.idle();
  });
}
