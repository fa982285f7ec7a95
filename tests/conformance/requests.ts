/** Methods, targets and versions: what the backend is asked for. */

import { assert, assertEquals } from "@std/assert";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { webSocketHandshake } from "../support/raw_websocket.ts";
import { settle } from "../support/wait.ts";
import { answered, ask, type EngineUnderTest, get, startProxy, unharmed, within } from "./engine_under_test.ts";

export function testRequests(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: requests: ${what}`;
  const { deviations } = engine;

  Deno.test(name("methods cross as they are, known and unknown, with a body and without"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const methods = [
      "GET",
      "POST",
      "PUT",
      "PATCH",
      "DELETE",
      "OPTIONS",
      "PROPFIND",
      "PURGE",
      "M-SEARCH",
      "X!#$%&'*+.^_`|~9",
    ];
    for (const method of methods) {
      const bare = await ask(client, `${method} /m HTTP/1.1\r\nHost: x\r\n\r\n`);
      assertEquals([bare.status, textOf(bare)], [200, `${method} /m 0`]);
      assertEquals(backend.last.body.length, 0, method);
      if (method === "GET") continue;
      const withBody = await ask(client, `${method} /m HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody`);
      assertEquals([withBody.status, textOf(withBody)], [200, `${method} /m 4`]);
      assertEquals(new TextDecoder().decode(backend.last.body), "body", method);
      assertEquals(backend.last.framing, "length", method);
    }
    const head = await ask(client, "HEAD /m HTTP/1.1\r\nHost: x\r\n\r\n");
    assertEquals([head.status, backend.last.method], [200, "HEAD"]);
    await unharmed({ proxy, client, backend, what: "methods" });
  });

  Deno.test(name("methods in lower case are others, but where the engine may raise them"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    for (const method of ["get", "Post", "put", "dElete", "options"]) {
      const response = await ask(client, `${method} /m HTTP/1.1\r\nHost: x\r\n\r\n`);
      const seen = deviations.upperCasesMethods ? method.toUpperCase() : method;
      assertEquals([response.status, textOf(response)], [200, `${seen} /m 0`]);
    }
    for (const method of ["patch", "Purge"]) {
      assertEquals(textOf(await ask(client, `${method} /m HTTP/1.1\r\nHost: x\r\n\r\n`)), `${method} /m 0`);
    }
    await unharmed({ proxy, client, backend, what: "methods in lower case" });
  });

  Deno.test(name("CONNECT and TRACE get 405 with Allow"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const start of ["CONNECT x:443", "TRACE /", "TRACE *"]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, `${start} HTTP/1.1\r\nHost: x:443\r\n\r\n`);
      const known = response.status === 405 && headerOf(response, "allow")?.includes("GET") === true;
      assert(known || (start === "TRACE *" && response.status === 400), `${start}: ${response.status}`);
      await unharmed({ proxy, client, backend, what: start });
    }
    assert(backend.requests.every(({ target }) => target.startsWith("/probe")));
  });

  Deno.test(name("a method that an engine can't carry is the client's affair, not the backend's"), async () => {
    // `fetch` throws at TRACK, trace and connect before it sends anything: that was 502 and the backend's failure, so
    // anyone could have had all backends ejected.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, {
      backends: [backend.url],
      passive: { serverErrors: 1, ejectFor: "1h" },
    });
    for (const method of ["TRACK", "trace", "Trace", "track", "connect"]) {
      using client = await RawClient.connect(proxy.port);
      const response = await answered(client.request(`${method} / HTTP/1.1\r\nHost: x\r\n\r\n`), method);
      assert([200, 400, 405, 501].includes(response.status), `${method}: ${response.status}`);
      assertEquals([proxy.backend(backend.url).totalFailures, proxy.backend(backend.url).alive], [0, true], method);
      await unharmed({ proxy, client, backend, what: method });
    }
  });

  Deno.test(name("OPTIONS * asks the server as a whole"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const target = deviations.rewritesTargets ? "/" : "*";
    assertEquals(textOf(await ask(client, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")), `OPTIONS ${target} 0`);
    await unharmed({ proxy, client, backend, what: "OPTIONS *" });
  });

  Deno.test(name("targets cross as they are, and stay paths whatever they look like"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const targets = [
      "/",
      "/?",
      "/?a=1&b=2;c&d=%zz&a=1",
      "/a%2Fb/%C3%A9/%2e%41",
      "//evil.example/x",
      "///",
      "/http://evil.example/",
      "/@evil.example",
      "/:80/",
      "/a//b///c",
      "/a;v=1/b=2,c",
      "/a|b^c`d{e}",
      "/~user/(x)!$&'*+,=:@",
      "/x?y=/../z",
      "/x?[]{}|\\^`",
      `/${"long/".repeat(1500)}`,
      `/?q=${"q".repeat(8000)}`,
    ].filter((target) =>
      !deviations.rewritesTargets || target === new URL(`http://x${target}`).href.slice("http://x".length)
    );
    for (const target of targets) {
      const response = await ask(client, get(target));
      assertEquals([response.status, textOf(response)], [200, `GET ${target} 0`]);
      assertEquals(valuesOf(backend.last, "host"), ["x"]);
    }
    assert(targets.length >= 12);
    await unharmed({ proxy, client, backend, what: "targets" });
  });

  Deno.test(name("targets with dots and quotes cross as they are or as the URL standard has them"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using client = await RawClient.connect(proxy.port);
    const targets: [string, string][] = [
      ["/a/../b", "/b"],
      ["/a/./b/.", "/a/b/"],
      ["/../../etc/passwd", "/etc/passwd"],
      ["/a/%2e%2E/b", "/b"],
      ["/a\\b", "/a/b"],
      ['/a"b<c>d', "/a%22b%3Cc%3Ed"],
      ["/x?a=\"<>'", "/x?a=%22%3C%3E%27"],
    ];
    for (const [target, rewritten] of targets) {
      const response = await ask(client, get(target));
      const wanted = deviations.rewritesTargets ? rewritten : target;
      assertEquals([response.status, textOf(response)], [200, `GET ${wanted} 0`]);
    }
    await unharmed({ proxy, client, backend, what: "targets to rewrite" });
  });

  Deno.test(name("a backend's base path stands before every path, with one slash between"), async () => {
    await using backend = new RecordingBackend();
    for (const base of ["/base", "/base/", "/a/b", "/a%2Fb"]) {
      await using proxy = await startProxy(engine, { backends: [`${backend.url}${base}`] });
      using client = await RawClient.connect(proxy.port);
      const trimmed = base.replace(/\/$/, "");
      for (const [target, wanted] of [["/", "/"], ["/x?y", "/x?y"], ["/?q", "/?q"], ["//x", "//x"], ["/%2F", "/%2F"]]) {
        assertEquals(textOf(await ask(client, get(target ?? ""))), `GET ${trimmed}${wanted} 0`);
      }
      assertEquals(textOf(await ask(client, "GET http://y/z HTTP/1.1\r\nHost: x\r\n\r\n")), `GET ${trimmed}/z 0`);
      client.close();
      await proxy.idle();
    }
  });

  Deno.test(name("no target leads out of a backend's base path"), async () => {
    // Whoever gave a backend a base path, to show one application of a server, showed all of it under `fetch`.
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [`${backend.url}/app`] });
    const outside = [
      "/../admin",
      "/..",
      "/x/../../admin?q=/../..",
      "/./../admin",
      "/%2e%2E/admin",
      "/.%2E/%2e./%2e/admin",
      "/x\\..\\..\\admin",
      "/\\..\\..\\admin",
      "//../../admin",
      "/..//admin",
      "/..%2fadmin",
      "/..%5Cadmin",
      "/..;a=b/admin",
      "/x%2fy/../../admin",
      "/x\\y/../../admin",
    ];
    for (const target of outside) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, get(target))).status, 400, target);
      using socket = await RawClient.connect(proxy.port);
      assertEquals((await ask(socket, webSocketHandshake(target))).status, 400, target);
    }
    assertEquals([backend.requests.length, proxy.backends[0]?.totalFailures], [0, 0]);
    const within: [string, string][] = [
      ["/.well-known/%2f?", "/.well-known/%2f?"],
      ["/x/../y?q=/../..", "/y?q=/../.."],
      ["/x%2fy/..", "/"],
    ];
    for (const [target, rewritten] of within) {
      const wanted = `/app${deviations.rewritesTargets ? rewritten : target}`;
      using client = await RawClient.connect(proxy.port);
      assertEquals(textOf(await ask(client, get(target))), `GET ${wanted} 0`);
      using socket = await RawClient.connect(proxy.port);
      assertEquals((await ask(socket, webSocketHandshake(target))).status, 200); // no handshake, but asked for
      assertEquals([backend.last.target, valuesOf(backend.last, "upgrade")], [wanted, ["websocket"]]);
    }
    await proxy.idle();
  });

  Deno.test(name("HTTP/1.0 clients get answers that they can read, and an end"), async () => {
    await using backend = new RecordingBackend((request) => {
      const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nparts\r\n0\r\n\r\n";
      return request.target === "/chunked" ? chunked : "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nknown";
    });
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const [target, body] of [["/known", "known"], ["/chunked", "parts"]]) {
      using client = await RawClient.connect(proxy.port);
      const response = await ask(client, `GET ${target} HTTP/1.0\r\nHost: x\r\n\r\n`);
      assertEquals([response.status, textOf(response)], [200, body]);
      assertEquals(headerOf(response, "transfer-encoding"), undefined);
      assertEquals(await client.closed(), true);
    }
    // Asked to, the proxy may keep the connection, but need not.
    using kept = await RawClient.connect(proxy.port);
    for (let round = 0; round < 2; round++) {
      await kept.send("GET /known HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n").catch(() => {});
      const response = await within(kept.response(), "keep-alive in HTTP/1.0");
      if (round === 1 && response === undefined) break;
      assertEquals(response && textOf(response), "known");
    }
    assertEquals(backend.violations, []);
    kept.close();
    await proxy.idle();
  });

  Deno.test(name("Connection: close is honoured, an empty line before a request forgiven"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    using closing = await RawClient.connect(proxy.port);
    const last = await ask(closing, get("/last", "Connection: close\r\n"));
    assertEquals([textOf(last), headerOf(last, "connection")?.toLowerCase()], ["GET /last 0", "close"]);
    assertEquals(await closing.closed(), true);
    using client = await RawClient.connect(proxy.port);
    assertEquals(textOf(await ask(client, `\r\n${get("/first")}`, "GET")), "GET /first 0");
    // Under `wire` a line whose two bytes came one by one got 400.
    for (let round = 0; round < 3; round++) {
      for (const byte of ["\r", "\n", "\r"]) {
        await client.send(byte);
        await settle(); // for it to be read alone
      }
      assertEquals(textOf(await ask(client, `\n${get("/split")}`, "GET")), "GET /split 0");
    }
    for (const beginning of ["\rGET", "\r\r\n"]) {
      using broken = await RawClient.connect(proxy.port);
      assertEquals((await ask(broken, `${beginning} / HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 400, beginning);
    }
    await unharmed({ proxy, client, backend, what: "an empty line" });
  });

  Deno.test(name("GET and HEAD with a body arrive whole, or are refused with 501 without harm"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    const body = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (const method of ["GET", "HEAD"]) {
      for (
        const lines of [
          `Content-Length: ${body.length}\r\n\r\n${body}`,
          `Transfer-Encoding: chunked\r\n\r\n${chunk(body)}`,
        ]
      ) {
        using client = await RawClient.connect(proxy.port);
        const response = await ask(client, `${method} /body HTTP/1.1\r\nHost: x\r\n${lines}`);
        assertEquals(response.status, deviations.refusesGetWithBody ? 501 : 200);
        if (response.status === 200) assertEquals([backend.last.method, backend.last.bodyBytes], [method, body.length]);
        await unharmed({ proxy, client, backend, what: `${method} with a body` });
      }
      using empty = await RawClient.connect(proxy.port);
      const response = await ask(empty, `${method} /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
      assertEquals([response.status, backend.last.method], [200, method]);
      await unharmed({ proxy, client: empty, backend, what: `${method} with Content-Length: 0` });
    }
    assert(backend.requests.every(({ target }) => target !== "/smuggled"));
  });
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}
