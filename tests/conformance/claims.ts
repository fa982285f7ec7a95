/** What a client may say of itself, and what it may not: its address, its scheme, the host that it asks for. */

import { assert, assertEquals } from "@std/assert";
import { RawClient } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { ask, type EngineUnderTest, get, startProxy, unharmed, within } from "./engine_under_test.ts";

/** What only a trusted proxy may say, beside `X-Forwarded-For`, `-Proto` and `-Host`. */
const CLAIMS = [
  "X-Forwarded-Port",
  "X-Forwarded-User",
  "Forwarded",
  "X-Real-IP",
  "X-Original-URL",
  "X-Rewrite-URL",
  "Proxy",
  "Client-Cert",
  "Client-Cert-Chain",
];

/** Set by the proxy, whatever was said. */
const OWN = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Request-Id"];

/** Every way to write `_` for some of the dashes, but for none. */
function underscored(name: string): string[] {
  const [first = "", ...rest] = name.split("-");
  const spellings = rest.reduce((all, word) => all.flatMap((one) => [`${one}-${word}`, `${one}_${word}`]), [first]);
  return spellings.slice(1);
}

/** Names as a backend takes them that knows no difference between `-` and `_` (WSGI, CGI, PHP). */
function asVariables(headers: readonly (readonly [string, string])[]): string[] {
  return headers.map(([name]) => name.toUpperCase().replaceAll("-", "_"));
}

export function testClaims(engine: EngineUnderTest): void {
  const name = (what: string) => `${engine.name}: claims: ${what}`;

  // `X_Forwarded_For: 6.6.6.6`, `Proxy: evil` and `X-Original-URL: /admin` of any client reached backends, and WSGI, CGI
  // and PHP take them for what the proxy says: addresses were forged, outgoing requests diverted, rules by path avoided.
  Deno.test(
    name("what an untrusted client says in the proxy's place never arrives, with _ for - neither"),
    async () => {
      await using backend = new RecordingBackend();
      await using proxy = await startProxy(engine, { backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      const forged = [...CLAIMS.flatMap((claim) => [claim, ...underscored(claim)]), ...OWN.flatMap(underscored)];
      for (const spelled of [forged, forged.map((one) => one.toLowerCase()), forged.map((one) => one.toUpperCase())]) {
        await ask(client, get("/forged", spelled.map((one) => `${one}: forged\r\n`).join("")));
        const { headers } = backend.last;
        assertEquals(headers.filter(([, value]) => value.includes("forged")), []);
        const variables = asVariables(headers);
        for (const own of OWN) {
          const variable = own.toUpperCase().replaceAll("-", "_");
          assertEquals(variables.filter((one) => one === variable).length, 1, own);
        }
      }
      // What merely resembles one of them crosses.
      const alike = ["X_Forwarded", "X-Forwarded", "Xx-Real-Ip", "Proxy-Kept", "Client_Certs", "X_Real_Id"];
      await ask(client, get("/alike", alike.map((one) => `${one}: kept\r\n`).join("")));
      assertEquals(alike.filter((one) => valuesOf(backend.last, one.toLowerCase())[0] !== "kept"), []);
      await unharmed({ proxy, client, backend, what: "forged headers" });
    },
  );

  // A trusted proxy that knows nothing of `X_Real_IP` passes on what its client wrote there.
  Deno.test(name("a trusted proxy is believed in the usual spelling alone"), async () => {
    await using backend = new RecordingBackend();
    const settings = { backends: [backend.url], proxy: { trustForwarded: ["127.0.0.1"] } };
    await using proxy = await startProxy(engine, settings);
    using client = await RawClient.connect(proxy.port);
    const said = CLAIMS.map((claim) => `${claim}: said\r\n`).join("");
    const forged = CLAIMS.flatMap(underscored).map((one) => `${one}: forged\r\n`).join("");
    await ask(client, get("/said", said + forged));
    assertEquals(CLAIMS.map((claim) => valuesOf(backend.last, claim.toLowerCase())), CLAIMS.map(() => ["said"]));
    assertEquals(backend.last.headers.filter(([, value]) => value.includes("forged")), []);
    await unharmed({ proxy, client, backend, what: "a trusted proxy's headers" });
  });

  // Under `wire` trailers said what heads may not: some backends take both for one.
  Deno.test(name("trailers never say what a head may not, however they are cut"), async () => {
    await using backend = new RecordingBackend();
    const request = { remove: ["X-User-Name"], set: { "X-User-Role": "guest" } };
    await using proxy = await startProxy(engine, { backends: [backend.url], headers: { request } });
    const own = ["Authorization", "Cookie", "Proxy-Authorization", "X-User-Name", "x_user_name", "X-User_Role", "TE"];
    const names = [...CLAIMS, ...CLAIMS.flatMap(underscored), ...OWN, ...OWN.flatMap(underscored), ...own];
    const forged = names.map((one) => `${one}: forged\r\n`);
    const half = Math.floor(forged.length / 2);
    const sections = [
      forged.join(""),
      `X-Sum: 1\r\n${forged.join("")}`,
      `${forged.join("")}X-Sum:1\r\nX-More:\r\n`,
      `X-Sum: 1\r\n${forged.slice(0, half).join("")}X-Users: a: b\r\n${forged.slice(half).join("")}X-More: 2\r\n`,
    ];
    const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
    using client = await RawClient.connect(proxy.port);
    for (const section of sections) {
      const lines = section.split("\r\n").slice(0, -1).filter((line) => !line.endsWith(" forged"));
      const kept = lines.map((line) =>
        [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const
      );
      for (const step of [1, 7, 61, Infinity]) {
        const text = `${section}\r\n`;
        await client.send(head);
        for (let at = 0; at < text.length; at += step) await client.send(text.slice(at, at + step));
        assertEquals((await ask(client, "", "POST")).status, 200);
        assertEquals(backend.last.trailers, engine.deviations.dropsTrailers ? [] : [...kept], `${section} by ${step}`);
        assertEquals(new TextDecoder().decode(backend.last.body), "abc");
      }
    }
    await unharmed({ proxy, client, backend, what: "forged trailers" });
  });

  // What would reframe the request, or lead it elsewhere, is no slip of an honest client.
  Deno.test(name("trailers that would govern the message are malformed"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const trailer of ["Content-Length", "transfer-encoding", "Host", "Connection", "UPGRADE"]) {
      using client = await RawClient.connect(proxy.port);
      const head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
      const { status } = await ask(client, `${head}3\r\nabc\r\n0\r\nX-Sum: 1\r\n${trailer}: 5\r\n\r\n`);
      assertEquals(status, engine.deviations.dropsTrailers ? 200 : 400, trailer);
      assertEquals(backend.requests.flatMap(({ trailers }) => trailers), []);
    }
    await unharmed({ proxy, backend, what: "trailers that govern" });
  });

  // Under `wire` `remove: ["X-Secret"]` kept a header from clients, and the trailer of the same name went out.
  Deno.test(name("response trailers lack what the operator removes or sets, however they are cut"), async () => {
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const section =
      "x-secret: a\r\nX-Sum: 1\r\nX-SECRET: b\r\nX-Role: c\r\nX-Request-Id: d\r\nX-More:2\r\nKeep-Alive: e\r\n";
    let step = 1;
    await using backend = new RecordingBackend(async (_, connection) => {
      const text = `${head}3\r\nabc\r\n0\r\n${section}\r\n`;
      for (let at = 0; at < text.length; at += step) await connection.send(text.slice(at, at + step));
      return "";
    });
    const response = { remove: ["X-Secret"], set: { "X-Role": "guest" } };
    await using proxy = await startProxy(engine, { backends: [backend.url], headers: { response } });
    using client = await RawClient.connect(proxy.port);
    for (step of [1, 5, 33, Infinity]) {
      await client.send(get("/trailers"));
      let text = "";
      while (!/\r\n0\r\n(?:.*\r\n)*\r\n$/.test(text)) {
        const more = await within(client.chunk(), "the end of the chunks");
        assert(more.length > 0, "cut");
        text += new TextDecoder().decode(more);
      }
      const trailers = text.slice(text.indexOf("\r\n0\r\n") + 5);
      const kept = engine.deviations.dropsTrailers ? "\r\n" : "X-Sum: 1\r\nX-More:2\r\n\r\n";
      assertEquals(trailers, kept, `by ${step}`);
    }
    await proxy.idle();
    assertEquals(backend.violations, []);
  });

  // `remove: ["X-User"]` guarded a backend that a client's `X_User` reached all the same.
  Deno.test(name("names that the operator removes or sets are governed with _ for -, too"), async () => {
    await using backend = new RecordingBackend();
    const request = { remove: ["X-User-Name"], set: { "X-User-Role": "guest" } };
    await using proxy = await startProxy(engine, { backends: [backend.url], headers: { request } });
    using client = await RawClient.connect(proxy.port);
    const lines = "X_User_Name: root\r\nX-User_Name: root\r\nx_user-role: root\r\nX_User: kept\r\n";
    await ask(client, get("/user", lines));
    assertEquals(backend.last.headers.filter(([, value]) => value === "root"), []);
    assertEquals([valuesOf(backend.last, "x-user-role"), valuesOf(backend.last, "x_user")], [["guest"], ["kept"]]);
    await unharmed({ proxy, client, backend, what: "the operator's names" });
  });

  // Under `fetch`, `GET https://x/` over plain HTTP was forwarded with `X-Forwarded-Proto: https`: backends took it for
  // encrypted. `ftp://evil.example/` became `Host: vil.example`.
  Deno.test(name("scheme and address are the connection's, whatever the target says"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [backend.url] });
    for (const scheme of ["http", "https", "HTTPS", "Http"]) {
      using client = await RawClient.connect(proxy.port);
      const target = `${scheme}://shop.example:8443/a?b=c`;
      const response = await ask(client, `GET ${target} HTTP/1.1\r\nHost: other.example\r\n\r\n`);
      const seen = ["host", "x-forwarded-host", "x-forwarded-proto"].map((header) => valuesOf(backend.last, header));
      assertEquals(response.status, 200, target);
      assertEquals(seen, [["shop.example:8443"], ["shop.example:8443"], ["http"]], target);
      assertEquals(backend.last.target, "/a?b=c");
    }
    const before = backend.requests.length;
    const malformed = [
      "ftp://evil.example/",
      "ws://x/",
      "httpx://x/",
      "https://u@x/",
      "*",
      "x*",
      "/x#y",
      "/x?y#",
      "http://x/#",
    ];
    for (const target of malformed) {
      using client = await RawClient.connect(proxy.port);
      assertEquals((await ask(client, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)).status, 400, target);
    }
    assertEquals(backend.requests.length, before);
    await unharmed({ proxy, backend, what: "targets with a scheme" });
  });

  // Under `wire` `/../x` reached a backend with a base path as `/base/../x`, and with it all that the backend serves.
  Deno.test(name("no target climbs out of a backend's base path"), async () => {
    await using backend = new RecordingBackend();
    await using proxy = await startProxy(engine, { backends: [`${backend.url}/base`] });
    for (const target of ["/../x", "/a/../../x", "/%2e%2e/x", "/..%2fx", "/..;a/x"]) {
      using client = await RawClient.connect(proxy.port);
      const { status } = await ask(client, get(target));
      assertEquals([status, backend.requests.length], [400, 0], target);
    }
    using client = await RawClient.connect(proxy.port);
    assertEquals((await ask(client, get("/a/x..y?/../.."))).status, 200);
    assertEquals([backend.last.target, proxy.backends[0]?.totalFailures], ["/base/a/x..y?/../..", 0]);
    await proxy.idle();
  });
}
