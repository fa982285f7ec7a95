// `Expect: 100-continue` at every port: what the head decides is answered at once, and only a body that will be read is
// asked for. Clients were told to go on, sent a body that nobody wanted, and then saw the refusal.

import { assertEquals } from "@std/assert";
import { answered, within } from "../conformance/engine_under_test.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { echoOf, RecordingBackend } from "../support/raw_recorder.ts";
import { waitFor } from "../support/wait.ts";

const EXPECT = "Expect: 100-continue\r\n\r\n";

/** The statuses that a client sees for a head, before it has sent any of the body. */
async function statuses(client: RawClient, head: string): Promise<number[]> {
  await client.send(head + EXPECT);
  const seen: number[] = [];
  while (true) {
    const { status } = await answered(client.response(), head);
    seen.push(status);
    if (status !== 100) return seen;
  }
}

// The runtime's server sends the 100 before it shows the request to anybody.
for (const [engine, unasked] of [["fetch", [100]], ["wire", []]] as const) {
  Deno.test(`${engine} over TLS: refusals come instead of 100, and an accepted body is asked for`, async () => {
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const tls = directory.writePair(await makePair({ authority }));
    await using backend = new RecordingBackend(echoOf, { onHead: () => "HTTP/1.1 100 Continue\r\n\r\n" });
    await using proxy = await TestProxy.start({ engine, backends: [backend.url], proxy: { maxBodySize: 10, tls } });
    const options = { hostname: "localhost", port: proxy.port, caCerts: [authority.cert] };
    const connect = async () => new RawClient(await Deno.connectTls(options));
    const refusals: [status: number, head: string][] = [
      [413, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n"],
      [413, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n"],
      [405, "TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"],
      [400, "POST / HTTP/1.1\r\nHost: a b\r\nTransfer-Encoding: chunked\r\n"],
    ];
    for (const [status, head] of refusals) {
      using client = await connect();
      assertEquals(await statuses(client, head), [...unasked, status], head);
    }
    assertEquals(backend.requests, []);
    using client = await connect();
    await client.send(`PUT /good HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n${EXPECT}`);
    assertEquals((await answered(client.response(), "Expect")).status, 100);
    await client.send("body");
    assertEquals(textOf(await answered(client.response(), "the body")), "PUT /good 4");
    client.close();
    await proxy.idle();
  });

  Deno.test(`${engine}: a stopping proxy refuses instead of 100`, async () => {
    await using backend = new RecordingBackend();
    const proxy = await TestProxy.start({ engine, backends: [backend.url] });
    using uploads = await RawClient.connect(proxy.port);
    await uploads.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf");
    await waitFor(() => backend.requests.length === 1, { what: "the upload" });
    const stopped = proxy.roundhouse.stop();
    using late = await RawClient.connect(proxy.port);
    assertEquals(await statuses(late, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"), [...unasked, 503]);
    late.close();
    await uploads.send("half");
    assertEquals(textOf(await answered(uploads.response(), "the upload")), "POST /upload 8");
    uploads.close();
    assertEquals(await within(stopped, "the stop"), true);
  });
}

Deno.test("the admin API and redirectFrom refuse instead of 100, and the admin API asks for a body that it will read", async () => {
  await using proxy = await TestProxy.start({
    admin: { token: "secret" },
    proxy: { tls: { selfSigned: ["localhost"], redirectFrom: 0 } },
  });
  const admin = Number(new URL(proxy.adminUrl).port);
  const redirect = Number(new URL(proxy.roundhouse.redirectUrl ?? "").port);
  const bearer = "Authorization: Bearer secret\r\nContent-Type: application/json\r\n";
  const heads: [port: number, status: number, head: string][] = [
    [admin, 401, "POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n"],
    [admin, 415, "POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer secret\r\nContent-Length: 4\r\n"],
    [admin, 404, `POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n${bearer}Content-Length: 4\r\n`],
    [admin, 413, `POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\n${bearer}Content-Length: 99999999\r\n`],
    [redirect, 308, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"],
    [redirect, 400, "POST / HTTP/1.1\r\nContent-Length: 4\r\n"],
  ];
  for (const [port, status, head] of heads) {
    using client = await RawClient.connect(port);
    assertEquals(await statuses(client, head), [status], head);
  }
  using client = await RawClient.connect(admin);
  const body = '{"url":"http://127.0.0.1:59001"}';
  const length = `Content-Length: ${body.length}\r\n`;
  await client.send(`POST /backends HTTP/1.1\r\nHost: 127.0.0.1\r\n${bearer}${length}${EXPECT}`);
  assertEquals((await answered(client.response(), "Expect")).status, 100);
  await client.send(body);
  assertEquals((await answered(client.response(), "the body")).status, 201);
});
