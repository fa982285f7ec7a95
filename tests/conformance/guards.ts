/** Guards: who may come. No spelling, no method and no way to send a request gets anybody around one. */

import { assertEquals } from "@std/assert";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { RecordingBackend } from "../support/raw_recorder.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { answered, ask, type EngineUnderTest, startProxy, within } from "./engine_under_test.ts";
import { to } from "./routes.ts";

type Name = (what: string) => string;

export function testGuards(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: guards: ${what}`;
  testRefusal(engine, name);
  testNoWayAround(engine, name);
}

/** A client that `deny` names. */
const HERE = "127.0.0.0/8";

function testRefusal(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("a refusal is a problem, leaves the connection usable, and is nobody's failure"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      log: { access: true },
      routes: {
        "*/*": "default",
        "*/private/*": { pool: "default", deny: [HERE] },
        "*/none/*": { respond: 200, allow: [] },
      },
    });
    using client = await RawClient.connect(proxy.port);
    for (const target of ["/private/x", "/none"]) {
      const refused = await ask(client, to("x", target));
      assertEquals([refused.status, headerOf(refused, "content-type")], [403, "application/problem+json"]);
      assertEquals(JSON.parse(textOf(refused)).status, 403);
      assertEquals(textOf(await ask(client, to("x", "/open"))), "GET /open 0");
    }
    const posted = await ask(client, `POST /private/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`);
    assertEquals(posted.status, 403);
    using waiting = await RawClient.connect(proxy.port);
    await waiting.send("POST /private/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    if (!engine.deviations.continuesUnasked) {
      assertEquals((await answered(waiting.response("POST"), "a head that waits for 100")).status, 403);
    }
    client.close();
    waiting.close();
    await proxy.idle();
    assertEquals(backend.requests.map(({ target }) => target), ["/open", "/open"]);
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
    const lines = proxy.log.lines.filter(({ message }) => message === "request").map(({ fields }) => fields);
    assertEquals(lines.slice(0, 3).map(({ refusedBy = null, pool }) => [refusedBy, pool]), [
      ["deny", null],
      [null, "default"],
      ["allow", null],
    ]);
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    const counted = metrics.split("\n").filter((line) => line.startsWith("roundhouse_refused_total"));
    const refusals = engine.deviations.continuesUnasked ? counted.length : Number(counted[0]?.split(" ")[1]);
    assertEquals(counted.map((line) => line.split(" ")[0]), [
      'roundhouse_refused_total{route="*/private/*",guard="deny"}',
      'roundhouse_refused_total{route="*/none/*",guard="allow"}',
    ]);
    assertEquals(refusals, engine.deviations.continuesUnasked ? 2 : 3);
  });
}

function testNoWayAround(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("no spelling of a path, method or header reaches what a guard keeps"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "*/*": "default", "*/admin/*": { pool: "default", allow: ["192.0.2.1"] } },
    });
    const forged = ["X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "X-Client-IP", "Forwarded", "x-forwarded_for"]
      .map((field) => `${field}: 192.0.2.1\r\n`).join("");
    const targets = ["/admin", "/admin/", "/%61dmin/x", "/admin%2fx", "/a/../admin/x", "//admin/x", "/./admin/x"];
    targets.push("/%2e/admin/x", "/admin/x?y#z", "http://x/admin/x", "http://other/%61dmin");
    for (const target of targets) {
      for (const method of ["GET", "POST", "OPTIONS", "PURGE"]) {
        using client = await RawClient.connect(proxy.port);
        const { status } = await ask(client, to("x", target, { method, headers: `${forged}Content-Length: 0\r\n` }));
        assertEquals(status === 403 || status === 400, true, `${method} ${target}: ${status}`);
      }
      using socket = await RawClient.connect(proxy.port);
      const { status } = await ask(socket, webSocketHandshake(target, forged));
      assertEquals(status === 403 || status === 400, true, `WebSocket ${target}: ${status}`);
    }
    assertEquals(backend.requests.filter(({ target }) => /adm/.test(target)), []);
    await proxy.idle();
  });

  Deno.test(name("a pipelined request is looked at as the first one is"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      routes: { "*/*": "default", "*/admin/*": { pool: "default", deny: [HERE] } },
    });
    using client = await RawClient.connect(proxy.port);
    await client.send(to("x", "/a") + to("x", "/admin/1") + to("x", "/b") + to("x", "/admin/2"));
    const statuses: (number | undefined)[] = [];
    for (let index = 0; index < 4; index++) {
      statuses.push((await within(client.response(), "a pipelined answer"))?.status);
    }
    assertEquals(statuses, [200, 403, 200, 403]);
    assertEquals(backend.requests.map(({ target }) => target), ["/a", "/b"]);
    client.close();
    await proxy.idle();
  });
}
