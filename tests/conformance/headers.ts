/** Which headers cross, both ways, and which the proxy sets. */

import { assert, assertEquals, assertGreaterOrEqual, assertMatch, assertNotEquals } from "@std/assert";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, post, startProxy, unharmed } from "./engine_under_test.ts";

/** A backend whose every answer carries these header lines (each with its CRLF). */
function adorned(headers: string, body = "fine"): RecordingBackend {
  return new RecordingBackend((request) => {
    return request.target.startsWith("/probe") ? echoOf(request) : ok(request.method === "HEAD" ? "" : body, headers);
  });
}

/** Headers as they come over a wire that may join, sort and lower-case them. */
function comparable(lines: readonly (readonly [string, string])[]): string[] {
  return lines.map(([header, value]) => `${header.toLowerCase()}: ${value}`).sort();
}

export function testHeaders(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: headers: ${what}`;
  const { deviations } = engine;

  Deno.test(name("Host is passed on unchanged"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const host of ["x", "Shop.Example", "shop.example:8080", "shop.example:80", "127.0.0.1:1", "[::1]:8080"]) {
      const response = await ask(client, `GET /host HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assertEquals([response.status, valuesOf(backend.last, "host")], [200, [host]]);
    }
    await unharmed({ proxy, client, backend, what: "Host" });
  });

  Deno.test(name("hop-by-hop ones of a request stay behind"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(
      client,
      get(
        "/hop",
        "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n" +
          "Proxy-Authorization: Basic eDp5\r\nTE: gzip\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nX-Kept: yes\r\n",
      ),
    );
    assertEquals(response.status, 200);
    const hops = ["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"];
    for (const hop of [...hops, "trailer", "transfer-encoding", "upgrade"]) {
      // An engine speaks for its own connection.
      const own = hop === "connection" ? ["keep-alive", "close"] : [];
      assertEquals(valuesOf(backend.last, hop).filter((value) => !own.includes(value.toLowerCase())), [], hop);
    }
    assertEquals(valuesOf(backend.last, "x-kept"), ["yes"]);
    await unharmed({ proxy, client, backend, what: "hop-by-hop headers" });
  });

  Deno.test(name("TE: trailers is passed on where trailers are, alone and named by Connection"), async () => {
    // Without its Connection option a backend may not believe it (RFC 9110 section 10.1.4); in a list it vanished.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const cases: [string, boolean][] = [
      ["TE: trailers\r\nConnection: TE\r\n", true],
      ["TE: trailers\r\n", true],
      ["TE: Trailers\r\n", true],
      ["TE: trailers, gzip\r\n", true],
      ["TE: gzip, trailers\r\nConnection: close, te\r\n", true],
      ["TE: gzip\r\nTE: trailers\r\nTE: trailers\r\n", true],
      ["TE: gzip\r\n", false],
      ["TE: trailersx\r\n", false],
      ["TE: gzip;q=0.5\r\nConnection: te\r\n", false],
    ];
    for (const [lines, wanted] of cases) {
      using client = await RawClient.connect(proxy.port);
      await ask(client, get("/te", lines));
      const passed = wanted && !engine.deviations.dropsTrailers;
      assertEquals(valuesOf(backend.last, "te"), passed ? ["trailers"] : [], lines);
      const options = valuesOf(backend.last, "connection").join().toLowerCase().split(/[ ,]+/);
      assertEquals(options.includes("te"), passed, lines);
    }
    await unharmed({ proxy, client, backend, what: "TE" });
  });

  Deno.test(name("whatever Connection names stays behind, over several lines and beside an empty one"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const connections = [
      "Connection: x-one, X-TWO,x-three\r\n",
      "Connection: x-one\r\nConnection: x-two\r\nConnection: x-three\r\n",
      "Connection:\r\nConnection: x-one, x-two, x-three\r\n",
      "Connection: , x-one,, x-two ,\tx-three,\r\n",
      "Connection: keep-alive, x-one, upgrade, x-two, x-three\r\nUpgrade: something\r\n",
    ];
    using client = await RawClient.connect(proxy.port);
    for (const lines of connections) {
      await ask(client, get("/named", `X-One: 1\r\nX-Two: 2\r\n${lines}X-Three: 3\r\nX-Four: 4\r\n`));
      const seen = ["x-one", "x-two", "x-three", "x-four"].map((header) => valuesOf(backend.last, header));
      assertEquals(seen, [[], [], [], ["4"]], lines);
    }
    await unharmed({ proxy, client, backend, what: "Connection" });
  });

  Deno.test(name("hop-by-hop ones of a response stay behind, a header named Trailers crosses"), async () => {
    await using backend = adorned(
      "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\nTrailer: X-Sum\r\n" +
        "Upgrade: h2c\r\nConnection: x-one\r\nConnection: X-Two, keep-alive\r\nConnection:\r\nX-One: 1\r\nX-Two: 2\r\n" +
        "Trailers: kept\r\nX-Kept: yes\r\n",
    );
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/hop"));
    assertEquals(textOf(response), "fine");
    const hops = ["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "trailer", "upgrade"];
    for (const hop of [...hops, "x-one", "x-two"]) assertEquals(headerOf(response, hop), undefined, hop);
    assertEquals([headerOf(response, "trailers"), headerOf(response, "x-kept")], ["kept", "yes"]);
    await unharmed({ proxy, client, backend, what: "hop-by-hop headers of a response" });
  });

  Deno.test(name("a response whose Connection names its framing keeps its body"), async () => {
    await using backend = adorned("Connection: content-length, transfer-encoding, x-request-id\r\n");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      const response = await ask(client, get("/named"));
      assertEquals([textOf(response), response.complete], ["fine", true]);
      assertMatch(headerOf(response, "x-request-id") ?? "", /^[0-9a-f]{32}$/);
    }
    await unharmed({ proxy, client, backend, what: "framing named in Connection" });
  });

  Deno.test(name("X-Forwarded-* of an untrusted client are replaced, its other claims dropped"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await ask(
      client,
      "GET /claims HTTP/1.1\r\nHost: shop.example:81\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n" +
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\n" +
        "Forwarded: for=6.6.6.6\r\n\r\n",
    );
    const set = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "host"];
    assertEquals(set.map((header) => valuesOf(backend.last, header)), [
      ["127.0.0.1"],
      ["http"],
      ["shop.example:81"],
      ["shop.example:81"],
    ]);
    for (const dropped of ["x-forwarded-port", "x-real-ip", "forwarded"]) {
      assertEquals(valuesOf(backend.last, dropped), [], dropped);
    }
    await unharmed({ proxy, client, backend, what: "claims" });
  });

  Deno.test(name("X-Forwarded-* of a client within trustForwarded are believed and appended to"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      proxy: { trustForwarded: ["127.0.0.0/8", "10.0.0.0/8"] },
    });
    using client = await RawClient.connect(proxy.port);
    await ask(
      client,
      get(
        "/trusted",
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\n" +
          "X-Forwarded-Host: shop.example\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n",
      ),
    );
    const seen = Object.fromEntries(backend.last.headers.map(([header, value]) => [header.toLowerCase(), value]));
    assertEquals(seen["x-forwarded-for"], "6.6.6.6, 10.1.1.1, 127.0.0.1");
    assertEquals([seen["x-forwarded-proto"], seen["x-forwarded-host"]], ["https", "shop.example"]);
    assertEquals([seen["x-forwarded-port"], seen["x-real-ip"], seen["forwarded"]], ["443", "6.6.6.6", "for=6.6.6.6"]);
    assertEquals(seen["host"], "x");
    // With nothing to append to, the same as for anyone.
    await ask(client, get("/bare"));
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["127.0.0.1"]);
    assertEquals(valuesOf(backend.last, "x-forwarded-proto"), ["http"]);
    await unharmed({ proxy, client, backend, what: "trusted claims" });
  });

  Deno.test(name("a client outside of trustForwarded is not believed"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      proxy: { trustForwarded: ["10.0.0.0/8", "::1"] },
    });
    using client = await RawClient.connect(proxy.port);
    await ask(client, get("/claims", "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n"));
    assertEquals(valuesOf(backend.last, "x-forwarded-for"), ["127.0.0.1"]);
    assertEquals(valuesOf(backend.last, "forwarded"), []);
    await unharmed({ proxy, client, backend, what: "claims" });
  });

  Deno.test(name("X-Request-Id is kept if well-formed, else replaced; each response carries it"), async () => {
    await using backend = adorned("X-Request-Id: of-the-backend\r\n");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const cases: [string, boolean][] = [
      ["a", true],
      ["Az09._-", true],
      ["x".repeat(128), true],
      ["x".repeat(129), false],
      ["", false],
      ["a b", false],
      ["a,b", false],
      ["a/b", false],
      ["ü", false],
      ["<script>", false],
    ];
    for (const [id, kept] of cases) {
      const response = await ask(client, get("/id", `X-Request-Id: ${id}\r\n`));
      const seen = valuesOf(backend.last, "x-request-id");
      assertEquals(seen.length, 1, id);
      if (kept) assertEquals(seen, [id]);
      else assertMatch(seen[0] ?? "", /^[0-9a-f]{32}$/, id);
      const back = response.headers.filter(([header]) => header.toLowerCase() === "x-request-id");
      assertEquals(back.map(([, value]) => value), seen, id);
    }
    // Two of them are none.
    await ask(client, get("/id", "X-Request-Id: a\r\nX-Request-Id: b\r\n"));
    assertEquals(valuesOf(backend.last, "x-request-id").length, 1);
    const ids = new Set<string | undefined>();
    for (let request = 0; request < 50; request++) ids.add(headerOf(await ask(client, get("/id")), "x-request-id"));
    assertEquals(ids.size, 50);
    // What the proxy answers itself, too.
    const own = await ask(client, "TRACE / HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n\r\n");
    assertEquals([headerOf(own, "x-request-id"), JSON.parse(textOf(own)).requestId], ["mine", "mine"]);
    await unharmed({ proxy, client, backend, what: "request ids" });
  });

  Deno.test(name("traceparent is passed on, or started where there is none"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    await ask(client, get("/trace", `traceparent: ${trace}\r\ntracestate: a=1\r\n`));
    assertEquals([valuesOf(backend.last, "traceparent"), valuesOf(backend.last, "tracestate")], [[trace], ["a=1"]]);
    const started: string[] = [];
    for (let request = 0; request < 2; request++) {
      await ask(client, get("/trace"));
      const [value = ""] = valuesOf(backend.last, "traceparent");
      assertMatch(value, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/);
      started.push(value);
    }
    assertNotEquals(started[0], started[1]);
    await unharmed({ proxy, client, backend, what: "traceparent" });
  });

  Deno.test(name("Via is passed on both ways, and not added"), async () => {
    await using backend = adorned("Via: 1.1 inner\r\n");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const passed = await ask(client, get("/via", "Via: 1.0 outer\r\n"));
    assertEquals([valuesOf(backend.last, "via"), headerOf(passed, "via")], [["1.0 outer"], "1.1 inner"]);
    await ask(client, get("/via"));
    assertEquals(valuesOf(backend.last, "via"), []);
    await using plain = new RecordingBackend();
    await using other = await startProxy(engine, { backends: [plain.url] });
    using again = await RawClient.connect(other.port);
    assertEquals(headerOf(await ask(again, get("/via")), "via"), undefined);
    await unharmed({ proxy, client, backend, what: "Via" });
  });

  Deno.test(name("Set-Cookie stays separate and in order, and so do other repeated ones of a response"), async () => {
    const cookies = ["a=1; Path=/", "b=2; Expires=Wed, 09 Jun 2027 10:18:14 GMT", "a=3", "c="];
    const lines = cookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`).join("");
    await using backend = adorned(`${lines}WWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer realm="a, b"\r\n`);
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/cookies"));
    const values = (header: string) => response.headers.filter((pair) => pair[0].toLowerCase() === header);
    assertEquals(values("set-cookie").map(([, value]) => value), cookies);
    const challenges = values("www-authenticate").map(([, value]) => value);
    assertEquals(challenges.join(", "), 'Basic, Bearer realm="a, b"');
    if (!deviations.joinsRepeatedHeaders) assertEquals(challenges.length, 2);
    await unharmed({ proxy, client, backend, what: "cookies" });
  });

  Deno.test(name("repeated ones of a request arrive separate, or joined where the engine may"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await ask(
      client,
      get("/twice", "X-Two: a\r\nCookie: a=1\r\nX-Two: b, c\r\nCookie: b=2\r\nAccept: x/y\r\nAccept: z/*\r\n"),
    );
    const seen = ["x-two", "cookie", "accept"].map((header) => valuesOf(backend.last, header));
    assertEquals(
      seen,
      deviations.joinsRepeatedHeaders
        ? [["a, b, c"], ["a=1; b=2"], ["x/y, z/*"]]
        : [["a", "b, c"], ["a=1", "b=2"], ["x/y", "z/*"]],
    );
    await unharmed({ proxy, client, backend, what: "repeated headers" });
  });

  Deno.test(name("names, order and odd values cross as they are"), async () => {
    const odd: [string, string][] = [
      ["X-Tab", "a\tb"],
      ["X-Empty", ""],
      ["x-lower", "1"],
      ["X-LATIN", "\u00e9\u00ff\u00a1"],
      ["X-Quoted", '"a\\"b, c"; d=\'e\''],
      ["A.b_c~d!e#f$g%h&i'j*k+l^m`n|o", "token"],
      ["X-Zeta", "last"],
    ];
    const lines = odd.map(([header, value]) => `${header}: ${value}\r\n`).join("");
    const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
    await using backend = new RecordingBackend((request) => {
      return request.target === "/odd"
        ? bytes(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 4\r\n\r\nfine`)
        : echoOf(request);
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, bytes(get("/odd", lines)), "GET");
    const names = odd.map(([header]) => header.toLowerCase());
    for (const seen of [backend.last.headers, response.headers]) {
      const own = seen.filter(([header]) => names.includes(header.toLowerCase()));
      if (deviations.sortsHeaders) assertEquals(comparable(own), comparable(odd));
      else assertEquals(own.map(([header, value]) => [header, value] as [string, string]), odd);
    }
    await unharmed({ proxy, client, backend, what: "odd headers" });
  });

  Deno.test(name("60 KiB of them cross both ways"), async () => {
    const large = `X-Large: ${"l".repeat(60 * 1024)}\r\n`;
    await using backend = adorned(large);
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, post("/large", "body", large));
    assertEquals([response.status, textOf(response)], [200, "fine"]);
    assertEquals(valuesOf(backend.last, "x-large")[0]?.length, 60 * 1024);
    assertEquals(headerOf(response, "x-large")?.length, 60 * 1024);
    await unharmed({ proxy, client, backend, what: "60 KiB of headers" });
  });

  Deno.test(name("120 in a request and 90 in a response cross, more in a response where the engine can"), async () => {
    const lines = (count: number) => Array.from({ length: count }, (_, at) => `X-Many-${at}: ${at}\r\n`).join("");
    for (const count of [90, 120]) {
      await using backend = adorned(lines(count));
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, get("/many", lines(120)));
      assertEquals(backend.last.headers.filter(([header]) => /^x-many-/i.test(header)).length, 120);
      if (count > 100 && deviations.refusesManyHeaders) {
        assertEquals(response.status, 502);
      } else {
        assertEquals([response.status, textOf(response)], [200, "fine"]);
        assertEquals(response.headers.filter(([header]) => /^x-many-/i.test(header)).length, count);
      }
      await unharmed({ proxy, client, backend, what: "many headers" });
    }
  });

  Deno.test(name("a head too large to take is refused, and the next one served"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const heads = [
      get("/large", `X: ${"x".repeat(1 << 20)}\r\n`),
      get("/large", "X: y\r\n".repeat(100_000)),
      get(`/${"x".repeat(1 << 20)}`),
    ];
    for (const head of heads) {
      using client = await RawClient.connect(proxy.port);
      await client.send(head).catch(() => {}); // refused before its end
      const response = await client.response();
      assert(response === undefined || [400, 414, 431].includes(response.status), `${response?.status}`);
      await unharmed({ proxy, backend, what: "a large head" });
    }
    assert(backend.requests.every(({ target }) => target.startsWith("/probe")));
  });

  Deno.test(name("what a client leaves out stays out, but for what the engine may add"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await ask(client, get("/bare"));
    const own = ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent"];
    const added = [
      ...(deviations.addsRequestHeaders ? ["accept", "accept-language", "user-agent"] : []),
      ...(deviations.asksForIdentity ? ["accept-encoding"] : []),
      "connection",
    ];
    const names = backend.last.headers.map(([header]) => header.toLowerCase());
    assertEquals(names.filter((header) => !added.includes(header)).sort(), own.sort());
    assertEquals(backend.last.framing, "none");
    // What it says, it says.
    await ask(
      client,
      get("/said", "User-Agent: me/1\r\nAccept: a/b\r\nAccept-Language: de\r\nAccept-Encoding: br\r\n"),
    );
    const said = ["user-agent", "accept", "accept-language", "accept-encoding"];
    assertEquals(said.map((header) => valuesOf(backend.last, header)), [
      ["me/1"],
      ["a/b"],
      ["de"],
      deviations.asksForIdentity ? ["identity", "br"] : ["br"],
    ]);
    await unharmed({ proxy, client, backend, what: "a bare request" });
  });

  Deno.test(name("the operator's rules set and remove, both ways"), async () => {
    await using backend = adorned("Server: secret/1\r\nX-Old: backend\r\nX-Powered-By: y\r\n");
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      headers: {
        request: { set: { "X-Env": "prod", "X-Old": "new" }, remove: ["Cookie", "x-drop"] },
        response: {
          set: { "Strict-Transport-Security": "max-age=1", "x-old": "new" },
          remove: ["server", "X-POWERED-BY"],
        },
      },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(
      client,
      get("/rules", "x-old: a\r\nX-Old: b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Drop: 1\r\nX-Kept: 1\r\n"),
    );
    const seen = ["x-env", "x-old", "cookie", "x-drop", "x-kept"].map((header) => valuesOf(backend.last, header));
    assertEquals(seen, [["prod"], ["new"], [], [], ["1"]]);
    const back = ["strict-transport-security", "x-old", "server", "x-powered-by"];
    assertEquals(back.map((header) => headerOf(response, header)), ["max-age=1", "new", undefined, undefined]);
    assertEquals(textOf(response), "fine");
    // Its own answers carry them as little as they carry anything of a backend's.
    const own = await ask(client, "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n");
    assertEquals(own.status, 405);
    await unharmed({ proxy, client, backend, what: "header rules" });
  });

  Deno.test(name("a response's date, server and caching headers cross unchanged"), async () => {
    const date = "Tue, 15 Nov 1994 08:12:31 GMT";
    await using backend = adorned(
      `Date: ${date}\r\nServer: inner\r\nCache-Control: private, max-age=60\r\nETag: W/"a"\r\nVary: Accept\r\nAge: 3\r\n`,
    );
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/cache"));
    const seen = ["date", "server", "cache-control", "etag", "vary", "age"].map((header) => headerOf(response, header));
    assertEquals(seen, [date, "inner", "private, max-age=60", 'W/"a"', "Accept", "3"]);
    assertGreaterOrEqual(response.headers.length, 6);
    await unharmed({ proxy, client, backend, what: "caching headers" });
  });
}
