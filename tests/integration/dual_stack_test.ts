// `::` listens for IPv4, too, at every port, and both kinds of client are told apart.

import { assertEquals } from "@std/assert";
import { answered, get } from "../conformance/engine_under_test.ts";
import { StateDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient } from "../support/raw_client.ts";
import { RecordingBackend, valuesOf } from "../support/raw_recorder.ts";

const TOKEN = "a-token-of-enough-characters";

/** Whether this machine has an IPv6 loopback address. */
function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

async function connect(hostname: string, port: number): Promise<RawClient> {
  return new RawClient(await Deno.connect({ hostname, port }));
}

for (const engine of ["fetch", "wire"] as const) {
  for (const workers of [1, 2]) {
    Deno.test({
      name: `${engine}, ${workers} workers: proxy, redirect and admin server on :: serve IPv4 and IPv6`,
      ignore: !hasIpv6(),
      async fn() {
        await using backend = new RecordingBackend();
        const admin = { host: "::", token: TOKEN };
        const settings = { engine, backends: [backend.url], admin, deny: ["192.0.2.0/24"] };
        await using proxy = await TestProxy.start({ ...settings, proxy: { host: "::", workers } });
        using _state = new StateDirectory();
        const tls = { selfSigned: ["localhost"], redirectFrom: 0 };
        await using secure = await TestProxy.start({ ...settings, proxy: { host: "::", workers, tls } });
        const redirect = Number(new URL(secure.roundhouse.redirectUrl ?? "").port);
        for (const hostname of ["127.0.0.1", "::1"]) {
          using client = await connect(hostname, proxy.port);
          assertEquals((await answered(client.request(get("/")))).status, 200);
          assertEquals(valuesOf(backend.last, "x-forwarded-for"), [hostname]);
          using redirected = await connect(hostname, redirect);
          assertEquals((await answered(redirected.request(get("/")))).status, 308);
          using asked = await connect(hostname, Number(new URL(proxy.adminUrl).port));
          const status = get("/readyz").replace("Host: x", "Host: localhost");
          assertEquals((await answered(asked.request(status))).status, 200);
        }
      },
    });
    Deno.test(`${engine}, ${workers} workers: allow on :: lets an IPv4 client in by its IPv4 address`, async () => {
      await using backend = new RecordingBackend();
      const settings = { engine, backends: [backend.url], allow: ["127.0.0.0/8"] };
      await using proxy = await TestProxy.start({ ...settings, proxy: { host: "::", workers } });
      using client = await RawClient.connect(proxy.port);
      assertEquals((await answered(client.request(get("/")))).status, 200);
    });
  }
}
