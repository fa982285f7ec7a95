// A listener on `::` told IPv4 clients as `::ffff:1.2.3.4`: they hashed, were logged and forwarded otherwise than behind
// a listener on `0.0.0.0`, and no list of addresses that an operator would write matched them.

import { assertEquals } from "@std/assert";
import { RawClient, textOf } from "../support/raw_client.ts";
import { ok, RecordingBackend, valuesOf } from "../support/raw_recorder.ts";
import { TestProxy } from "../support/proxy.ts";
import { waitFor } from "../support/wait.ts";

const TOKEN = "a-token-of-enough-characters";

for (const engine of ["fetch", "wire"] as const) {
  Deno.test(`${engine}: an IPv4 client of a listener on :: is an IPv4 client everywhere`, async () => {
    const backends = Array.from({ length: 8 }, (_, index) => new RecordingBackend(() => ok(String(index))));
    await using all = new AsyncDisposableStack();
    for (const backend of backends) all.use(backend);
    await using proxy = await TestProxy.start({
      engine,
      proxy: { host: "::" },
      admin: { host: "::", token: TOKEN },
      strategy: "ip-hash",
      backends: backends.map(({ url }) => url),
      log: { access: true },
    });
    using client = await RawClient.connect(proxy.port);
    const response = await client.request("GET /who HTTP/1.1\r\nHost: x\r\n\r\n");
    if (response === undefined) throw new Error("no answer");
    const chosen = backends[Number(textOf(response))];
    if (chosen === undefined) throw new Error("no backend");
    assertEquals(valuesOf(chosen.last, "x-forwarded-for"), ["127.0.0.1"]);
    client.close();
    await proxy.idle();
    await waitFor(() => proxy.log.of("request").length > 0, { what: "the access log" });
    assertEquals(proxy.log.of("request").map(({ fields }) => fields["client"]), ["127.0.0.1"]);

    const admin = `http://127.0.0.1:${new URL(proxy.adminUrl).port}`;
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    for (const ip of ["127.0.0.1", "::ffff:127.0.0.1", "::FFFF:7f00:1"]) {
      const explained = await (await fetch(`${admin}/explain?ip=${ip}`, { headers })).json();
      assertEquals(explained.backend.url, chosen.url, ip);
    }
    const id = proxy.backend(chosen.url).id;
    const change = await fetch(`${admin}/backends/${id}`, { method: "PATCH", headers, body: '{"weight":2}' });
    assertEquals([change.status, (await change.json()).weight], [200, 2]);
    assertEquals(proxy.log.of("admin change").map(({ fields }) => fields["client"]), ["127.0.0.1"]);
  });
}
