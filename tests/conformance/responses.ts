/** Answers of backends, well-formed and not: what the client gets, and that nothing of one reaches another request. */

import { assert, assertEquals, assertNotMatch } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, ok, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";
import {
  answered,
  ask,
  type EngineUnderTest,
  get,
  LIMIT_MS,
  post,
  probe,
  startProxy,
  unharmed,
  within,
} from "./engine_under_test.ts";

/** What a response must never turn into. */
const POISON = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";

/** A backend that answers `/attempt` with these bytes and everything else with an echo. */
function attempting(answer: string): RecordingBackend {
  return new RecordingBackend((request) => request.target === "/attempt" ? answer : echoOf(request));
}

export function testResponses(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: responses: ${what}`;

  Deno.test(name("malformed ones are 502, a failure, and the connection is closed"), async () => {
    const malformed = [
      "nonsense\r\n\r\n",
      "HTTP/1.1 abc OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 -20 OK\r\n\r\n",
      "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n",
      "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
      "HTTP/3.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      "HTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "\u0000\u0000\u0000\u0000\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX\u0000: y\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: a\u0000b\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: a\u0001b\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 O\u0000K\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      // `fetch` passed the encoded body on as if it were the body itself, with a 200.
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
      `HTTP/1.1 200 OK\r\nX: ${"x".repeat(1 << 20)}\r\n\r\n`,
    ];
    for (const answer of malformed) {
      const what = JSON.stringify(answer.slice(0, 100));
      await using backend = attempting(answer);
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, get("/attempt"));
      assertEquals(response.status, 502, what);
      assertEquals(headerOf(response, "content-type"), "application/problem+json", what);
      assertNotMatch(textOf(response), /127\.0\.0\.1/, what);
      await proxy.idle();
      assertEquals(proxy.log.of("attempt failed")[0]?.fields["code"], "malformed_response", what);
      await unharmed({ proxy, client, backend, what });
      const { totalFailures, alive } = proxy.backend(backend.url);
      assertEquals([totalFailures, alive], [1, true], what);
      // The connection that lied is not used again. `fetch` has no word to close one whose message it could read.
      const readable = engine.deviations.hasForeignParser && answer.includes("chunked");
      if (!readable) assertEquals(backend.requests.filter(({ connection }) => connection === 0).length, 1, what);
    }
  });

  Deno.test(name("a malformed answer is not tried elsewhere though another backend is there"), async () => {
    await using backend = RawBackend.answering("nonsense\r\n\r\n");
    await using spare = HttpBackend.named("spare");
    await using proxy = await startProxy(engine, { backends: [backend.url, spare.url] });
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/"))).status, 502);
    assertEquals(spare.requests, 0);
    assertEquals((await ask(client, get("/"))).status, 200);
    await proxy.idle();
  });

  // A body that was malformed from its first byte on gave an empty reply, though nothing had gone to the client.
  Deno.test(
    name("a body that is malformed where it begins is 502, as long as nothing has gone to the client"),
    async () => {
      if (engine.deviations.hasForeignParser) return; // the runtime has sent the head by then, and cuts
      for (const begin of ["zz\r\n", "-1\r\nabc", "3\r\nabcX", "0\r\nContent-Length: 1\r\n\r\n"]) {
        const answer = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${begin}`;
        await using backend = attempting(answer);
        await using proxy = await startProxy(engine, { backends: [backend.url] });
        using client = await RawClient.connect(proxy.port);
        const response = await ask(client, get("/attempt"));
        assertEquals([response.status, headerOf(response, "content-type")], [502, "application/problem+json"], begin);
        await proxy.idle();
        assertEquals(proxy.log.of("attempt failed")[0]?.fields["code"], "malformed_response", begin);
        assertEquals(proxy.backend(backend.url).totalFailures, 1, begin);
        assertEquals(backend.requests.filter(({ target }) => target === "/attempt").length, 1, begin);
        await unharmed({ proxy, client, backend, what: begin });
        assertEquals(backend.requests.filter(({ connection }) => connection === 0).length, 1, begin);
      }
    },
  );

  // Scripts behind `python3 -m http.server --cgi` end their lines in LF alone; some applications add a second length.
  Deno.test(
    name("bare LF in a head and a length said twice are read as they are meant, and go on well-formed"),
    async () => {
      for (
        const answer of [
          "HTTP/1.0 200 OK\r\nServer: x\r\nContent-Type: text/plain\nContent-Length: 3\n\nabc",
          "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 3\n\nabc",
          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc",
          "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Type: text/plain\r\n\r\nabc",
        ]
      ) {
        const what = JSON.stringify(answer);
        await using backend = attempting(answer);
        await using proxy = await startProxy(engine, { backends: [backend.url] });
        using client = await RawClient.connect(proxy.port);
        const response = await ask(client, get("/attempt"));
        const kind = headerOf(response, "content-type");
        if (engine.deviations.hasForeignParser && response.status === 502) continue; // the runtime's parser decides
        assertEquals([response.status, textOf(response), kind], [200, "abc", "text/plain"], what);
        assertNotMatch(response.head, /[^\r]\n/, what);
        const lengths = response.headers.filter(([header]) => /^content-length$/i.test(header)).map(([, value]) =>
          value
        );
        if (lengths.length > 0 || !engine.deviations.hasForeignParser) assertEquals(lengths, ["3"], what);
        await unharmed({ proxy, client, backend, what });
      }
    },
  );

  // After a 103 and silence a DELETE was sent to the next backend, and the client saw two 103s.
  Deno.test(name("after a 1xx that was passed on no other backend is asked"), async () => {
    if (engine.deviations.dropsInformational) return;
    const silent = () =>
      new RecordingBackend(async (request, connection) => {
        if (request.target !== "/attempt") return echoOf(request);
        await connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        await connection.read().catch(() => {});
        return undefined;
      });
    await using one = silent();
    await using two = silent();
    const backends = [one.url, two.url];
    await using proxy = await startProxy(engine, { backends, timeouts: { response: LIMIT_MS } });
    for (const method of ["DELETE", "GET"]) {
      using client = await RawClient.connect(proxy.port);
      await client.send(`${method} /attempt HTTP/1.1\r\nHost: x\r\n\r\n`);
      const statuses: number[] = [];
      do statuses.push((await answered(client.response())).status); while ((statuses.at(-1) ?? 0) < 200);
      assertEquals(statuses, [103, 504], method);
    }
    await proxy.idle();
    const asked = [...one.requests, ...two.requests].filter(({ target }) => target === "/attempt");
    assertEquals(asked.map(({ method }) => method).sort(), ["DELETE", "GET"]);
    assertEquals(proxy.log.of("attempt failed").length, 2);
  });

  Deno.test(name("what a lenient parser would take is mended or 502, never passed on as it is"), async () => {
    const doubtful = [
      "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\n\r\nabc",
      "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
      "\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    ];
    for (const answer of doubtful) {
      const what = JSON.stringify(answer);
      await using backend = attempting(answer);
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, get("/attempt"));
      if (response.status !== 502) {
        assertEquals([response.status, textOf(response), response.complete], [200, "abc", true], what);
        assertNotMatch(response.head, /[^\r]\n|\r[^\n]|\n[ \t]|[ \t]:/, what);
        assert(response.headers.filter(([header]) => /^content-length$/i.test(header)).length <= 1, what);
      }
      await unharmed({ proxy, client, backend, what });
    }
  });

  Deno.test(name("a body that breaks off is cut at the client, and the next request is served"), async () => {
    const broken = [
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nhalf\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff4\r\nhalf\r\n0\r\n\r\n",
    ];
    for (const answer of broken) {
      const what = JSON.stringify(answer);
      await using backend = new RecordingBackend(async (request, connection) => {
        if (request.target !== "/attempt") return echoOf(request);
        await connection.send(answer);
        return undefined;
      });
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      await client.send(get("/attempt"));
      const response = await within(client.response(), what);
      assert(response === undefined || !response.complete || response.status === 502, `${what} looks whole`);
      if (response?.status !== 502) assert(await within(client.closed(), `the cut after ${what}`), what);
      await unharmed({ proxy, client, backend, what });
      if (!engine.deviations.overlooksBrokenBodies) {
        assertEquals(proxy.backend(backend.url).totalFailures, 1, what);
        assert(proxy.log.lines.some(({ level }) => level === "warn"), what);
      }
      assertEquals(proxy.backend(backend.url).alive, true);
    }
  });

  Deno.test(name("bytes behind a response never reach another request"), async () => {
    const answers: [string, string][] = [
      ["behind a body of known length", `${ok("fine")}${POISON}`],
      ["behind a chunked body", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n${POISON}`],
      ["behind an empty body", `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n${POISON}`],
      ["as the body of a 204", `HTTP/1.1 204 No Content\r\nContent-Length: ${POISON.length}\r\n\r\n${POISON}`],
      ["behind a 204", `HTTP/1.1 204 No Content\r\n\r\n${POISON}`],
      ["as the body of a 304", `HTTP/1.1 304 Not Modified\r\nContent-Length: ${POISON.length}\r\n\r\n${POISON}`],
      ["behind a chunked 304", `HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n${POISON}`],
      ["an unsound line", `${ok("fine")}\r\n\r\n\u0000\u0000`],
    ];
    for (const [what, answer] of answers) {
      await using backend = attempting(answer);
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      for (let round = 0; round < 3; round++) {
        await client.send(get("/attempt"));
        const response = await within(client.response(), what);
        assert(response !== undefined && !textOf(response).includes("poison"), what);
        if (await probe(client, what) === "closed") break;
      }
      await unharmed({ proxy, client, backend, what });
    }
  });

  Deno.test(name("the body of an answer to HEAD never reaches another request"), async () => {
    const answers = [
      ok(POISON),
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${POISON.length.toString(16)}\r\n${POISON}\r\n0\r\n\r\n`,
      `HTTP/1.1 404 Not Found\r\nContent-Length: ${POISON.length}\r\n\r\n${POISON}`,
    ];
    for (const answer of answers) {
      const what = JSON.stringify(answer);
      await using backend = attempting(answer);
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      for (let round = 0; round < 3; round++) {
        const response = await ask(client, "HEAD /attempt HTTP/1.1\r\nHost: x\r\n\r\n");
        assertEquals(response.status, answer.includes("404") ? 404 : 200, what);
        if (await probe(client, what) === "closed") break;
      }
      await unharmed({ proxy, client, backend, what });
    }
  });

  Deno.test(name("bytes on an idle connection never answer the next request"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/attempt") return echoOf(request);
      await connection.send(ok("fine"));
      await read.promise;
      await connection.send(POISON);
      sent.resolve();
      // The proxy closes what talks out of turn; where it does not, the test says so below.
      await Promise.race([connection.read().catch(() => {}), give.promise]);
      return undefined;
    });
    const read = Promise.withResolvers<void>();
    const sent = Promise.withResolvers<void>();
    const give = Promise.withResolvers<void>();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, get("/attempt"))), "fine");
    read.resolve();
    await sent.promise;
    await proxy.idle();
    await new Promise((resolve) => setTimeout(resolve, 20)); // the bytes are in the proxy's socket by then
    for (let round = 0; round < 3; round++) await probe(client, "bytes on an idle connection");
    give.resolve();
    await unharmed({ proxy, client, backend, what: "bytes on an idle connection" });
  });

  Deno.test(name("1xx before the final response never harms it"), async () => {
    const hint = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
    const interims: [string, number[]][] = [
      ["HTTP/1.1 100 Continue\r\n\r\n", [100]],
      ["HTTP/1.1 102 Processing\r\n\r\n", [102]],
      [hint, [103]],
      [hint + hint, [103, 103]],
      [`HTTP/1.1 102 Processing\r\n\r\n${hint}`, [102, 103]],
      ["HTTP/1.1 199 Odd\r\nX: y\r\n\r\n", [199]],
    ];
    for (const [interim, statuses] of interims) {
      const what = JSON.stringify(interim);
      await using backend = attempting(interim + ok("final", "X-Final: yes\r\n"));
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      for (let round = 0; round < 2; round++) {
        await client.send(get("/attempt"));
        const passed: number[] = [];
        let response = await answered(client.response(), what);
        for (; response.status < 200; response = await answered(client.response(), what)) {
          passed.push(response.status);
          if (response.status === 103) assertEquals(headerOf(response, "link"), "</style.css>; rel=preload");
        }
        assertEquals([response.status, textOf(response), headerOf(response, "x-final")], [200, "final", "yes"], what);
        assertEquals(headerOf(response, "link"), undefined, what);
        const wanted = engine.deviations.dropsInformational ? [] : statuses.filter((status) => status !== 100);
        assertEquals(passed.filter((status) => status !== 100), wanted, what);
      }
      await unharmed({ proxy, client, backend, what });
      assertEquals(proxy.backend(backend.url).totalFailures, 0);
    }
  });

  Deno.test(name("1xx and then the connection's end is 502, 1xx and then silence 504"), async () => {
    await using broken = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/attempt") return echoOf(request);
      await connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
      if (ending) return undefined;
      await connection.read().catch(() => {});
      return undefined;
    });
    let ending = true;
    await using proxy = await startProxy(engine, { backends: [broken.url], timeouts: { response: LIMIT_MS } });
    for (const status of [502, 504]) {
      using client = await RawClient.connect(proxy.port);
      await client.send(get("/attempt"));
      let response = await answered(client.response());
      while (response.status < 200) response = await answered(client.response());
      assertEquals(response.status, status);
      await unharmed({ proxy, client, backend: broken, what: `103, then ${status}` });
      ending = false;
    }
  });

  Deno.test(name("every final status crosses as it is"), async () => {
    await using backend = new RecordingBackend((request) => {
      const status = request.target.slice(1);
      if (!/^\d{3}$/.test(status)) return echoOf(request);
      const body = ["204", "304"].includes(status) ? "" : status;
      const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
      return `HTTP/1.1 ${status}\r\n${length}X-Status: ${status}\r\n\r\n${body}`;
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (
      const status of [200, 201, 202, 203, 204, 206, 207, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 399]
    ) {
      const response = await ask(client, get(`/${status}`));
      assertEquals([response.status, headerOf(response, "x-status")], [status, String(status)]);
    }
    for (
      const status of [400, 401, 403, 404, 405, 407, 408, 409, 410, 412, 413, 416, 417, 418, 421, 425, 426, 428, 429]
    ) {
      const response = await ask(client, get(`/${status}`));
      assertEquals([response.status, textOf(response)], [status, String(status)]);
    }
    for (const status of [431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 599]) {
      const response = await ask(client, get(`/${status}`));
      assertEquals([response.status, textOf(response)], [status, String(status)]);
    }
    for (const status of [600, 700, 999]) {
      const response = await ask(client, get(`/${status}`));
      assertEquals(response.status, engine.deviations.refusesHighStatuses ? 502 : status);
    }
    await unharmed({ proxy, client, backend, what: "statuses" });
  });

  Deno.test(name("redirects are passed on, not followed"), async () => {
    await using backend = new RecordingBackend((request) => {
      const status = request.target.slice(1);
      return /^30\d$/.test(status)
        ? `HTTP/1.1 ${status} Moved\r\nLocation: /elsewhere?a=1#b\r\nContent-Length: 0\r\n\r\n`
        : echoOf(request);
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const status of [301, 302, 303, 307, 308]) {
      for (const request of [get(`/${status}`), post(`/${status}`, "body")]) {
        const response = await ask(client, request);
        assertEquals([response.status, headerOf(response, "location")], [status, "/elsewhere?a=1#b"]);
      }
    }
    await unharmed({ proxy, client, backend, what: "redirects" });
    assert(backend.requests.every(({ target }) => !target.startsWith("/elsewhere")));
  });

  Deno.test(name("205 ends at once"), async () => {
    // The runtime sends a 205 with neither a length nor chunks, for which no end but the connection's is defined:
    // curl waited for it until its own time was over.
    await using backend = attempting("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nX-Kept: yes\r\n\r\n");
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const response = await ask(client, get("/attempt"));
    assertEquals(response.status, engine.deviations.answers204For205 ? 204 : 205);
    assertEquals([response.body.length, headerOf(response, "x-kept")], [0, "yes"]);
    await unharmed({ proxy, client, backend, what: "205" });
  });

  Deno.test(name("a backend that closes its connection leaves the client's open"), async () => {
    const answers: [string, string][] = [
      ["HTTP/1.0 200 OK\r\n\r\nto the end", "to the end"],
      ["HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nknown", "known"],
      ["HTTP/1.1 200 OK\r\n\r\nto the end", "to the end"],
      ["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", "to the end"],
      ["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nknown", "known"],
      ["HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"],
      ["HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok", "ok"],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0003;a=b\r\nabc\r\n0\r\n\r\n", "abc"],
      ["HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok"],
    ];
    for (const [answer, body] of answers) {
      const what = JSON.stringify(answer);
      await using backend = new RecordingBackend(async (request, connection) => {
        if (request.target !== "/attempt") return echoOf(request);
        await connection.send(answer);
        return undefined;
      });
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      for (let round = 0; round < 2; round++) {
        const response = await ask(client, get("/attempt"));
        assertEquals([response.status, textOf(response), response.complete], [200, body, true], what);
        assertEquals(
          [headerOf(response, "connection"), headerOf(response, "keep-alive")],
          [undefined, undefined],
          what,
        );
      }
      assertEquals(await probe(client, what), "served", what);
      await unharmed({ proxy, client, backend, what });
      assertEquals(proxy.backend(backend.url).totalFailures, 0, what);
    }
  });

  Deno.test(name("the head reaches the client before any byte of the body, and each part as it comes"), async () => {
    await using backend = new RecordingBackend(async (request, connection) => {
      if (request.target !== "/attempt") return echoOf(request);
      await connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (const part of ["one", "two", "end"]) {
        await steps[part]?.promise;
        await connection.send(`3\r\n${part}\r\n`);
      }
      return "0\r\n\r\n";
    });
    const steps: Record<string, PromiseWithResolvers<void>> = {
      one: Promise.withResolvers(),
      two: Promise.withResolvers(),
      end: Promise.withResolvers(),
    };
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    await client.send(get("/attempt"));
    let text = "";
    const until = async (part: string) => {
      while (!text.includes(part)) text += new TextDecoder().decode(await within(client.chunk(), part));
    };
    await until("\r\n\r\n");
    for (const part of ["one", "two", "end"]) {
      assert(!text.includes(part));
      steps[part]?.resolve();
      await until(part);
    }
    await until("\r\n0\r\n\r\n");
    await unharmed({ proxy, client, backend, what: "a body in parts" });
  });

  Deno.test(name("one that comes before the request has ended reaches the client"), async () => {
    await using backend = new RecordingBackend(
      (request) => request.target === "/attempt" ? undefined : echoOf(request),
      {
        onHead: ({ target }) =>
          target === "/attempt" ? "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno" : undefined,
      },
    );
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const rest = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    await client.send(`POST /attempt HTTP/1.1\r\nHost: x\r\nContent-Length: ${5 + rest.length}\r\n\r\nfirst`);
    const response = await answered(client.response(), "a body that is still under way");
    assertEquals([response.status, textOf(response)], [413, "no"]);
    await client.send(rest).catch(() => {}); // closed is fine, too
    // A client that is told that the connection closes sends nothing more over it.
    const usable = headerOf(response, "connection") === undefined;
    await unharmed({ proxy, ...(usable ? { client } : {}), backend, what: "an early answer" });
    assert(backend.requests.every(({ target }) => target !== "/smuggled"));
    assertEquals(proxy.backend(backend.url).alive, true);
  });

  Deno.test(name("one that breaks off while large uploads are under way harms nobody"), async () => {
    await using backend = new RawBackend(async (connection) => {
      await connection.head();
      if (!connection.received.startsWith("POST")) return await connection.send(ok("fine"));
      await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const body = new Uint8Array(6 * 1024 * 1024);
    await Promise.all(Array.from({ length: 8 }, async () => {
      using client = await RawClient.connect(proxy.port);
      await client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
      // Nobody reads it to its end, so it may be cut off, or go on until this side closes.
      const upload = client.send(body).catch(() => {});
      const response = await within(client.response(), "the cut");
      assert(response === undefined || response.status === 502 || !response.complete, `${response?.status}`);
      client.close();
      await upload;
    }));
    await proxy.idle();
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, get("/"))), "fine");
    assertEquals(proxy.backend(backend.url).alive, true);
    client.close();
    await proxy.idle();
  });

  Deno.test(name("half a request never looks whole because its answer has come"), async () => {
    // The proxy let go of the body of an answered request as if it had ended: the backend, which was still reading,
    // took half an upload for all of it.
    const uploads = [
      "POST /attempt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
      "POST /attempt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ];
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n",
    ];
    for (const answer of answers) {
      await using backend = new RecordingBackend(echoOf, {
        onHead: ({ target }) => target === "/attempt" ? answer : undefined,
      });
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      for (const upload of uploads) {
        using client = await RawClient.connect(proxy.port);
        await client.send(upload);
        assertEquals(textOf(await answered(client.response(), "half an upload")), "early");
        await new Promise((resolve) => setTimeout(resolve, 50)); // time for a wrong end to reach the backend
        client.close();
        const seen = backend.last;
        await waitFor(() => seen.ended, { what: "the end of the upload at the backend" });
        assertEquals([seen.complete, seen.bodyBytes <= 4], [false, true]);
        await proxy.idle();
      }
    }
  });
}
