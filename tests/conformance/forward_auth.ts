/** `auth.forward`: a server decides about each request, and nothing of the request goes anywhere before it has. */

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { AuthServer } from "../support/auth_server.ts";
import { refusedUrl } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, LIMIT_MS, post, startProxy } from "./engine_under_test.ts";

export type Name = (what: string) => string;

export function testForwardAuth(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: auth.forward: ${what}`;
  testPassing(engine, name);
  testRefusing(engine, name);
}

type ForwardAuth = Extract<NonNullable<ConfigFile["auth"]>, { readonly forward: unknown }>;

/** A proxy whose requests all need the server's word. The limit of time is far. */
export function guarded(engine: EngineUnderTest, backend: { url: string }, auth: ForwardAuth, more: ConfigFile = {}) {
  return startProxy(engine, { backends: [backend.url], auth: { timeout: "60s", ...auth }, ...more });
}

function testPassing(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("the server is asked with the headers of the request and with what is true about it"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: `${auth.url}?for=shop` }, {
      routes: { "shop.example/api/*": { pool: "default", stripPrefix: "/api" } },
      headers: { request: { remove: ["Cookie"], set: { Host: "inside" } } },
    });
    using client = await RawClient.connect(proxy.port);
    const lines = [
      "Host: shop.example",
      "Cookie: session=1",
      "Authorization: Bearer abc",
      "Accept: text/html",
      "Content-Type: text/plain",
      "Content-Length: 5",
      "If-None-Match: x",
      "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
      "Range: bytes=0-1",
      "Connection: X-Hop",
      "X-Hop: 1",
      "X-Forwarded-Method: GET",
      "X_Forwarded_Uri: /public",
      "X-Forwarded-Uri: /public",
      "X-Forwarded-For: 192.0.2.7",
    ];
    const response = await ask(client, `POST /api/a%20b?c=d HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\nhello`);
    assertEquals(textOf(response), "POST /a%20b?c=d 5");
    const [question] = auth.questions;
    assertEquals([question?.method, question?.target, question?.framing], ["GET", "/auth?for=shop", "none"]);
    assertEquals(auth.said("host"), auth.origin.slice("http://".length));
    assertEquals(auth.said("x-forwarded-method"), "POST");
    assertEquals(auth.said("x-forwarded-uri"), "/api/a%20b?c=d");
    assertEquals(auth.said("x-forwarded-host"), "shop.example");
    assertEquals(auth.said("x-forwarded-proto"), "http");
    assertEquals(auth.said("x-forwarded-for"), "127.0.0.1");
    assertEquals(auth.said("cookie"), "session=1", "the rules for backends are not for this server");
    assertEquals(auth.said("authorization"), "Bearer abc");
    assertEquals(auth.said("accept"), "text/html");
    const told = question?.headers.map(([field]) => field.toLowerCase()) ?? [];
    for (
      const field of ["content-type", "content-length", "if-none-match", "if-modified-since", "range", "connection"]
    ) {
      assert(!told.includes(field), field);
    }
    assert(
      !told.some((field) => field.includes("_") || field === "x-hop" || field === "x-forwarded-prefix"),
      told.join(),
    );
    assertEquals(auth.violations, []);
    assertEquals(valuesOf(backend.last, "host"), ["inside"]);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("the server is told the very target that goes on, however the client spells it"), async () => {
    // It was told `/x/../admin` where the backend was asked for `/admin`: a rule for paths could be passed by.
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url });
    const targets = ["/x/../admin", "/x\\..\\admin", "/%2e/a", "/a/%2E%2e/b?c=/../d", "/a\"<>{}`'?'\"{}`", "/a//b/."];
    targets.push("//x/y", "/a%2fb;c=d", "http://other/x/./y", "/%c3%a9?%zz");
    for (const target of targets) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, get(target))).status, 200, target);
      assertEquals(auth.said("x-forwarded-uri"), backend.last.target, target);
    }
    using client = await RawClient.connect(proxy.port);
    const { status } = await ask(client, new TextEncoder().encode(get("/é")));
    if (status === 200) assertEquals(auth.said("x-forwarded-uri"), backend.last.target);
    else assertEquals(status, 400);
    client.close();
    await proxy.idle();
    assertEquals([auth.violations, backend.violations], [[], []]);
  });

  Deno.test(
    name("what it answers by the names in copy goes on, and nothing that the client sent by them"),
    async () => {
      const answer = "HTTP/1.1 200 OK\r\nX-User: me\r\nx-group: a\r\nX-Group: b\r\nX-Other: 1\r\nSet-Cookie: a=1\r\n" +
        "Set-Cookie: b=2\r\nContent-Length: 5\r\n\r\nhello";
      await using auth = new AuthServer(answer);
      await using backend = new RecordingBackend(({ target }) => ok(target, "Set-Cookie: c=3\r\n"));
      await using proxy = await guarded(engine, backend, { forward: auth.url, copy: ["X-User", "X-Group", "X-Role"] }, {
        headers: { request: { set: { "X-User": "nobody", "X-Role": "default" } } },
      });
      using client = await RawClient.connect(proxy.port);
      const forged = ["X-User", "x-user", "X_User", "X-Role", "x_role", "X_Group", "X-group", "X.User", "X~Role"]
        .map((field) => `${field}: admin\r\n`).join("");
      const trailers = forged.replaceAll(": admin", ": trailing");
      const body = "3\r\nabc\r\n0\r\n";
      const requests = [
        get("/", forged),
        `POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-User\r\nTransfer-Encoding: chunked\r\n${forged}\r\n${body}${trailers}\r\n`,
      ];
      for (const request of requests) {
        const response = await ask(client, request);
        assertEquals(response.status, 200);
        const cookies = response.headers.filter(([field]) => field.toLowerCase() === "set-cookie").map(([, value]) =>
          value
        );
        assertEquals(cookies, ["c=3", "a=1", "b=2"]);
        const { headers, trailers } = backend.last;
        const sent = headers.filter(([, value]) => value === "admin");
        assertEquals(sent, [], "forged headers");
        assertEquals(trailers.filter(([, value]) => value === "trailing"), [], "forged trailers");
        assertEquals(valuesOf(backend.last, "x-user"), ["me"]);
        assertEquals(valuesOf(backend.last, "x-group"), ["a, b"]);
        assertEquals(
          valuesOf(backend.last, "x-role"),
          ["default"],
          "what the operator sets stays where the server is silent",
        );
        assertEquals(valuesOf(backend.last, "x-other"), []);
      }
      client.close();
      await proxy.idle();
    },
  );

  Deno.test(name("preflight requests pass where they may, without a question and without forged headers"), async () => {
    await using auth = new AuthServer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url, copy: ["X-User"], preflight: true });
    using client = await RawClient.connect(proxy.port);
    const asking =
      "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\nx_user: admin\r\nX-User: admin\r\n";
    const preflight = `OPTIONS /a HTTP/1.1\r\nHost: x\r\n${asking}\r\n`;
    assertEquals((await ask(client, preflight)).status, 200);
    assertEquals(backend.last.headers.filter(([, value]) => value === "admin"), []);
    assertEquals(auth.questions.length, 0);
    assertEquals((await ask(client, get("/a", asking))).status, 401);
    assertEquals((await ask(client, "OPTIONS /a HTTP/1.1\r\nHost: x\r\n\r\n")).status, 401);
    assertEquals([auth.questions.length, backend.requests.length], [2, 1]);
    client.close();
    await proxy.idle();
  });
}

function testRefusing(engine: EngineUnderTest, name: Name): void {
  Deno.test(name("any other answer reaches the client as it is, and counts as refused and not as failed"), async () => {
    const page = "<p>log in</p>";
    await using auth = new AuthServer(
      "HTTP/1.1 302 Found\r\nLocation: https://login.example/?back=1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" +
        `Connection: X-Hop\r\nX-Hop: 1\r\nX-Request-Id: theirs\r\nX-User: me\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
    );
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url, copy: ["X-User"] }, {
      log: { access: true },
      headers: { response: { set: { "X-Frame-Options": "DENY" } } },
    });
    using client = await RawClient.connect(proxy.port);
    for (const request of [get("/"), post("/", "hello"), get("/").replace("GET", "HEAD")]) {
      const response = await ask(client, request);
      assertEquals([response.status, headerOf(response, "location")], [302, "https://login.example/?back=1"]);
      const cookies = response.headers.filter(([field]) => field.toLowerCase() === "set-cookie").map(([, value]) =>
        value
      );
      assertEquals(cookies, ["a=1", "b=2"]);
      assertEquals(headerOf(response, "x-hop"), undefined);
      assertEquals(headerOf(response, "x-frame-options"), "DENY");
      assertEquals(headerOf(response, "content-length"), String(page.length));
      assertEquals(textOf(response), request.startsWith("HEAD") ? "" : page);
      const ids = response.headers.filter(([field]) => field.toLowerCase() === "x-request-id");
      assert(ids.length === 1 && ids[0]?.[1] !== "theirs");
    }
    auth.verdict = () => "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n";
    const unauthorized = await ask(client, get("/"));
    assertEquals([unauthorized.status, headerOf(unauthorized, "www-authenticate")], [401, "Bearer"]);
    client.close();
    await proxy.idle();
    assertEquals([backend.requests.length, proxy.roundhouse.memory.requestTotals().failed], [0, 0]);
    const line = proxy.log.lines.find(({ message }) => message === "request")?.fields;
    assertEquals([line?.["refusedBy"], line?.["error"], line?.["status"]], ["auth", "unauthorized", 302]);
    const metrics = await (await fetch(`${proxy.adminUrl}/metrics`)).text();
    assert(metrics.includes('roundhouse_refused_total{route="none",guard="auth"} 4\n'));
  });

  Deno.test(name("at most 64 KiB of an answer are passed on, however it is framed"), async () => {
    const long = "x".repeat(100_000);
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url });
    using client = await RawClient.connect(proxy.port);
    const chunked = `${(100_000).toString(16)}\r\n${long}\r\n0\r\n\r\n`;
    const framed: [answer: string, closes: boolean][] = [
      [`HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\n${long}`, false],
      [`HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`, false],
      [`HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n${long}`, true],
    ];
    for (const [answer, closes] of framed) {
      auth.verdict = async (_question, connection) => {
        await connection.send(answer).catch(() => {}); // it is cut
        return closes ? undefined : "";
      };
      const response = await ask(client, get("/"));
      assertEquals([response.status, response.body.length, response.complete], [403, 65536, true]);
    }
    auth.verdict = () => `HTTP/1.1 403 Forbidden\r\nContent-Length: 65536\r\n\r\n${long.slice(0, 65536)}`;
    assertEquals((await ask(client, get("/"))).body.length, 65536);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("an answer may arrive in any two pieces, behind a 1xx and with any framing"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend(() => ok("passed"));
    await using proxy = await guarded(engine, backend, { forward: auth.url, copy: ["X-User"] });
    const answers: [answer: string, status: number, body: string, closes: boolean][] = [
      [
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhello",
        403,
        "hello",
        false,
      ],
      [
        "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
        403,
        "hello",
        false,
      ],
      ["HTTP/1.0 403 No\r\n\r\nhello", 403, "hello", true],
      ["HTTP/1.1 200 OK\nX-User: me\nContent-Length: 5\n\nhello", 200, "passed", false],
    ];
    auth.verdict = async ({ headers }, connection) => {
      const uri = headers.find(([field]) => field.toLowerCase() === "x-forwarded-uri")?.[1] ?? "";
      const [, index, cut] = uri.split("/").map(Number);
      const [answer = "", , , closes] = answers[index ?? 0] ?? [];
      await connection.send(answer.slice(0, cut));
      await new Promise((resolve) => setTimeout(resolve, 0)); // the system may send both at once all the same
      await connection.send(answer.slice(cut)).catch(() => {}); // nobody waits for the body of a 200
      return closes ? undefined : "";
    };
    const askAll = async (index: number, every: number, first: number) => {
      const [answer = "", status, body] = answers[index] ?? [];
      using client = await RawClient.connect(proxy.port);
      for (let cut = first; cut < answer.length; cut += every) {
        const response = await ask(client, get(`/${index}/${cut}`));
        assertEquals([response.status, textOf(response)], [status, body], JSON.stringify(answer.slice(0, cut)));
      }
    };
    for (const index of answers.keys()) {
      await Promise.all(Array.from({ length: 20 }, (_, first) => askAll(index, 20, first + 1)));
    }
    await proxy.idle();
    assertEquals(auth.violations, []);
  });

  Deno.test(name("without a whole and well-formed answer nobody passes"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: auth.url });
    using client = await RawClient.connect(proxy.port);
    const bad: Record<string, string | undefined> = {
      "no answer": undefined,
      "a switch of protocols": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      "garbage": "garbage\r\n\r\n",
      "a status of 99": "HTTP/1.1 99 What\r\n\r\n",
      "a status of 600": "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n",
      "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      "a coding and a length": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "a foreign coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "half a head": "HTTP/1.1 200 OK\r\nX-User: m",
      "half a body": "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nhalf",
      "a bad chunk": "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf",
      "a head of 70 KiB": `HTTP/1.1 200 OK\r\nX-Long: ${"x".repeat(70_000)}\r\n\r\n`,
      "1xx without end": "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50),
      "a 1xx and nothing": "HTTP/1.1 103 Early Hints\r\n\r\n",
    };
    for (const [what, answer] of Object.entries(bad)) {
      auth.verdict = async (_question, connection) => {
        if (answer !== undefined) await connection.send(answer);
        return undefined;
      };
      const response = await ask(client, get("/"));
      assertEquals([response.status, headerOf(response, "retry-after")], [503, "1"], what);
      assertEquals(headerOf(response, "content-type"), "application/problem+json", what);
      assert(!textOf(response).includes("127."), "no address is told");
    }
    await proxy.roundhouse.settled();
    const line = proxy.log.lines.find(({ message }) => message === "auth server failed");
    assertEquals([line?.level, line?.fields["reason"]], [
      "warn",
      `${auth.origin}: connection lost before the response`,
    ]);
    const asked = auth.questions.length;
    assertEquals(asked, Object.keys(bad).length, "each was asked once");
    auth.verdict = () => `HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`;
    assertEquals((await ask(client, get("/"))).status, 200, "a 1xx before the answer is none");
    client.close();
    await proxy.idle();
    assertEquals(proxy.roundhouse.memory.requestTotals().failed, 0);
    assertEquals(backend.requests.length, 1);
  });

  Deno.test(name("a server that is not there, or does not answer in time, lets nobody pass"), async () => {
    await using auth = new AuthServer();
    await using backend = new RecordingBackend();
    await using proxy = await guarded(engine, backend, { forward: `${refusedUrl()}/auth` }, {
      routes: {
        "*/*": "default",
        "*/slow": { pool: "default", auth: { forward: auth.url, timeout: LIMIT_MS } },
        "*/half": { pool: "default", auth: { forward: auth.url, timeout: LIMIT_MS } },
        "*/open": { pool: "default", auth: null },
      },
    });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/"))).status, 503);
    assertEquals((await ask(client, get("/open"))).status, 200);
    auth.freeze();
    assertEquals((await ask(client, get("/slow"))).status, 503);
    auth.thaw();
    auth.verdict = async (_question, connection) => {
      await connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf");
      await connection.toEnd();
      return undefined;
    };
    assertEquals((await ask(client, get("/half"))).status, 503);
    client.close();
    await proxy.idle();
    assertEquals(backend.requests.map(({ target }) => target), ["/open"]);
  });
}
