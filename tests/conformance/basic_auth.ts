/** `auth.basic`: who has no right password gets nothing, whatever is sent; who has one is kept from nothing. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { ok, RecordingBackend } from "../support/raw_recorder.ts";
import { acceptWebSocket, closeFrame, webSocketHandshake } from "../support/raw_websocket.ts";
import { waitFor } from "../support/wait.ts";
import { answered, ask, type EngineUnderTest, startProxy, within } from "./engine_under_test.ts";
import { to } from "./routes.ts";

type Name = (what: string) => string;

/** Of "open sesame", as cheap as it may be. */
const SCRYPT = "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$TP10l/J0v7dq+bTn6BbxXiexUKxCWRjz0KMUH+qZPfQ";
/** Of "secret". The second one takes long. */
const BCRYPT = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
const SLOW_BCRYPT = "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW";

const BODY = `${"x".repeat(100_000)}the end`;

const CHALLENGE = 'Basic realm="the cave", charset="UTF-8"';

function authorization(credentials: string): string {
  return `Authorization: Basic ${new TextEncoder().encode(credentials).toBase64()}\r\n`;
}

const ALADDIN = authorization("Aladdin:open sesame");

export function testBasicAuth(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: auth.basic: ${what}`;
  testPasswords(engine, name);
  testNoWayIn(engine, name);
  testWaiting(engine, name);
}

function testPasswords(engine: EngineUnderTest, name: Name): void {
  Deno.test(
    name("a right password passes, and goes no further; all else gets 401 and is nobody's failure"),
    async () => {
      await using backend = new RecordingBackend();
      await using proxy = await startProxy(engine, {
        backends: [backend.url],
        log: { access: true },
        routes: {
          "*/*": {
            pool: "default",
            auth: { basic: { users: { Aladdin: SCRYPT, "bücher": BCRYPT }, realm: "the cave" } },
          },
          "*/open/*": { pool: "default", auth: null },
        },
      });
      using client = await RawClient.connect(proxy.port);
      const bad = [
        "",
        authorization("Aladdin:open sesame "),
        authorization("aladdin:open sesame"),
        authorization("nobody:open sesame"),
        authorization("bücher:open sesame"),
        authorization("constructor:secret"),
        authorization("__proto__:secret"),
        authorization("Aladdin:"),
        authorization(":open sesame"),
        authorization(":"),
        authorization(`Aladdin:${"x".repeat(5000)}`),
        authorization(`${"x".repeat(5000)}:open sesame`),
        `Authorization: Bearer open sesame\r\n`,
        `Authorization: Basic ${btoa("b\xfccher:secret")}\r\n`,
      ];
      for (const headers of bad) {
        const refused = await ask(client, to("x", "/", { headers }));
        assertEquals([refused.status, headerOf(refused, "www-authenticate")], [401, CHALLENGE], headers);
        assertEquals(headerOf(refused, "content-type"), "application/problem+json");
      }
      assertEquals(backend.requests, []);
      for (const headers of [ALADDIN, authorization("bücher:secret"), ALADDIN]) {
        const passed = await ask(client, to("x", "/in", { headers }));
        assertEquals([passed.status, headerOf(passed, "www-authenticate")], [200, undefined]);
      }
      assertEquals((await ask(client, to("x", "/open/", { headers: ALADDIN }))).status, 200);
      assertEquals(backend.requests.map(({ target, headers }) => [target, hasAuthorization(headers)]), [
        ["/in", false],
        ["/in", false],
        ["/in", false],
        ["/open/", true],
      ]);
      client.close();
      await proxy.idle();
      assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
      const lines = proxy.log.lines.filter(({ message }) => message === "request").map(({ fields }) => fields);
      assertEquals(lines.map(({ refusedBy = null }) => refusedBy), [...bad.map(() => "auth"), null, null, null, null]);
      const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
      assert(metrics.includes(`roundhouse_refused_total{route="*/*",guard="auth"} ${bad.length}\n`));
      const config = await (await fetch(`${proxy.adminUrl}/config`)).text();
      for (const hash of [SCRYPT, BCRYPT]) {
        assert(
          !config.includes(hash) && !JSON.stringify(proxy.log.lines).includes(hash),
        );
      }
    },
  );

  Deno.test(name("a reload with another hash forgets the old password at once, and one without keeps it"), async () => {
    await using backend = new RecordingBackend();
    const users: Record<string, string> = { ali: SLOW_BCRYPT };
    await using proxy = await startProxy(engine, { backends: [backend.url], auth: { basic: { users } } });
    using client = await RawClient.connect(proxy.port);
    const status = async (password: string) => {
      return (await ask(client, to("x", "/", { headers: authorization(`ali:${password}`) }))).status;
    };
    assertEquals([await status("secret"), await status("open sesame")], [200, 401]);
    users["other"] = BCRYPT;
    await proxy.roundhouse.reload();
    assertEquals([await status("secret"), await status("open sesame")], [200, 401]);
    users["ali"] = SCRYPT;
    await proxy.roundhouse.reload();
    assertEquals([await status("secret"), await status("open sesame")], [401, 200]);
    delete users["ali"];
    await proxy.roundhouse.reload();
    assertEquals([await status("secret"), await status("open sesame")], [401, 401]);
    client.close();
    await proxy.idle();
  });
}

function hasAuthorization(headers: readonly (readonly [name: string, value: string])[]): boolean {
  return headers.some(([field]) => field.toLowerCase().replaceAll("_", "-") === "authorization");
}

function testNoWayIn(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("no spelling of the header gets anybody in"), async () => {
    await using backend = new RecordingBackend();
    const users = { Aladdin: SCRYPT, Ali: BCRYPT };
    await using proxy = await startProxy(engine, { backends: [backend.url], auth: { basic: { users } } });
    const field = fc.constantFrom("Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization", "X");
    const scheme = fc.constantFrom("Basic ", "basic ", "Basic", "Basic\t", "Digest ", "Bearer ", "", "Basic  ");
    const user = fc.constantFrom("Aladdin", "Ali", "", "nobody", "__proto__", "Aladdin\0", "ALI");
    const password = fc.oneof(fc.string(), fc.constantFrom("", "secret ", SCRYPT, BCRYPT, "\0secret", "secret\0"));
    const encoded = fc.tuple(user, password).filter(([user, password]) => !(user === "Ali" && password === "secret"))
      .map(([user, password]) => new TextEncoder().encode(`${user}:${password}`).toBase64());
    // The right credentials, spelled as nobody may.
    const right = new TextEncoder().encode("Ali:secret").toBase64(); // QWxpOnNlY3JldA==
    const misspelled = fc.constantFrom(
      right.replace(/=+$/, ""),
      `${right}=`,
      right.replace("A==", "B=="),
      right.replace("A==", "A"),
      `${right}, Basic ${right}`,
      `${right},`,
      `"${right}"`,
      `${right} x`,
      right.replace("Y3", "Y 3"),
      `realm="x", ${right}`,
    );
    const line = fc.tuple(field, scheme, fc.oneof(encoded, misspelled, fc.base64String(), fc.constant("")))
      .map(([field, scheme, token]) => `${field}: ${scheme}${token}\r\n`);
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 3 }), async (lines) => {
        using client = await RawClient.connect(proxy.port);
        const response = await ask(client, to("x", "/", { headers: lines.join("") }));
        assert(response.status === 401 || response.status === 503, `${response.status} for ${lines.join("")}`);
      }),
      { numRuns: 500 },
    );
    assertEquals(backend.requests, []);
    await proxy.idle();
  });

  Deno.test(
    name("two Authorization lines get 401, though one of them is right, and trailers count for nothing"),
    async () => {
      await using backend = new RecordingBackend();
      const users = { Aladdin: SCRYPT };
      await using proxy = await startProxy(engine, { backends: [backend.url], auth: { basic: { users } } });
      const lines = [ALADDIN + ALADDIN, `${ALADDIN}Authorization:\r\n`, `Authorization: Bearer x\r\n${ALADDIN}`];
      for (const headers of lines) {
        using client = await RawClient.connect(proxy.port);
        assertEquals((await ask(client, to("x", "/", { headers }))).status, 401, headers);
      }
      const chunked = (headers: string, trailers: string) =>
        `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n${headers}\r\n` +
        `2\r\nhi\r\n0\r\n${trailers}\r\n`;
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, chunked("", ALADDIN))).status, 401);
      assertEquals(backend.requests, []);
      using other = await RawClient.connect(proxy.port);
      assertEquals((await ask(other, chunked(ALADDIN, `${ALADDIN}X-Sum: 1\r\n`))).status, 200);
      const { headers, trailers } = backend.last;
      assertEquals([hasAuthorization(headers), hasAuthorization(trailers)], [false, false]);
      client.close();
      other.close();
      await proxy.idle();
    },
  );

  Deno.test(
    name("the password of a user of one route opens no other route, whoever has the same hash there"),
    async () => {
      // Two checks of the same text and hash at the same time were one. `ada` got in at `/b`, where only `bob` is a user, or
      // was refused at `/a`.
      await using backend = new RecordingBackend();
      for (const paths of [["/a", "/b"], ["/b", "/a"]]) {
        await using proxy = await startProxy(engine, {
          backends: [backend.url],
          routes: {
            "*/*": "default",
            "*/a": { pool: "default", auth: { basic: { users: { ada: BCRYPT } } } },
            "*/b": { pool: "default", auth: { basic: { users: { bob: BCRYPT } } } },
          },
          proxy: { workers: 1 },
        });
        const clients = [await RawClient.connect(proxy.port), await RawClient.connect(proxy.port)];
        // The first check starts an isolate, so that the second request comes within it.
        const headers = authorization("ada:secret");
        await Promise.all(clients.map((client, index) => client.send(to("x", paths[index] ?? "", { headers }))));
        const statuses = await Promise.all(clients.map(async (client) => (await client.response())?.status));
        assertEquals(statuses, paths.map((path) => path === "/a" ? 200 : 401), paths.join());
        for (const client of clients) client.close();
        await proxy.idle();
      }
      assertEquals(backend.requests.map(({ target }) => target), ["/a", "/a"]);
    },
  );
}

function testWaiting(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("uploads and WebSockets wait for the password to be checked"), async () => {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      assert(!/^authorization:/im.test(connection.received)); // else it breaks the connection off
      if (!/^upgrade: websocket/im.test(connection.received)) {
        await connection.until(BODY);
        return await connection.send(ok("hello"));
      }
      await acceptWebSocket(connection);
      await connection.read();
      await connection.send(closeFrame(1000, false));
      await connection.toEnd();
    });
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      auth: { basic: { users: { Ali: SLOW_BCRYPT } } },
    });
    for (const [password, status, posted] of [["wrong", 401, 401], ["secret", 101, 200]] as const) {
      using socket = await RawClient.connect(proxy.port);
      const headers = authorization(`Ali:${password}`);
      assertEquals((await ask(socket, webSocketHandshake("/", headers))).status, status);
      if (status === 101) await socket.send(closeFrame(1000, true));
      using upload = await RawClient.connect(proxy.port);
      await upload.send(`POST / HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${BODY.length}\r\n\r\n`);
      void upload.send(BODY).catch(() => {}); // refused before it was read, perhaps
      assertEquals((await answered(upload.response("POST"))).status, posted);
    }
    await proxy.idle();
  });

  Deno.test(
    name("with more passwords than can be checked, some get 503, and who is remembered is served"),
    async () => {
      await using backend = new RecordingBackend();
      const users = { Ali: SLOW_BCRYPT, Aladdin: SCRYPT };
      await using proxy = await startProxy(engine, { backends: [backend.url], auth: { basic: { users } } });
      using friend = await RawClient.connect(proxy.port);
      assertEquals((await ask(friend, to("x", "/", { headers: ALADDIN }))).status, 200);
      const flood = await Promise.all(Array.from({ length: 40 }, () => RawClient.connect(proxy.port)));
      await Promise.all(flood.map((client, number) => {
        return client.send(to("x", "/", { headers: authorization(`Ali:wrong ${number}`) }));
      }));
      const first = await Promise.race(flood.map((client) => within(client.response(), "an answer")));
      assertEquals([first?.status, first && headerOf(first, "retry-after")], [503, "1"]);
      assert(first !== undefined && JSON.parse(textOf(first)).status === 503);
      assertEquals((await ask(friend, to("x", "/", { headers: ALADDIN }))).status, 200);
      for (const client of flood) client.close();
      await waitFor(() => proxy.roundhouse.memory.requestTotals().active === 0, {
        what: "clients that left to be let go",
      });
      friend.close();
      await proxy.idle();
      assertEquals(backend.requests.length, 2);
    },
  );
}
