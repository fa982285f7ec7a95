// Over HTTP/2 the method, the path and the host are fields of their own, and the runtime reads them. No spelling of these, and no
// header, gets a client around a guard there either.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { GuardedRoutes, hostileHeaders, hostileMethods, hostilePaths } from "../support/guarded_routes.ts";
import { RawHttp2Client } from "../support/raw_http2.ts";

Deno.test("HTTP/2: nothing that a client can send gets it around a guard", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  const get = async (port: number, path: string) => {
    using client = await RawHttp2Client.connect(port, authority);
    return await client.request(headOf("GET", "x", path));
  };
  await using guarded = await GuardedRoutes.start({ engine: "fetch", proxy: { tls } }, async (port) => {
    assertEquals((await get(port, "/rate/first")).status, 200);
    const held = get(port, "/full/first");
    return async () => assertEquals((await held).status, 200);
  });
  const { backend, proxy } = guarded;
  const authorities = fc.constantFrom("x", "x:443", "other", "x/deny", "x@y", "X", "");
  const bodies = fc.option(fc.constantFrom(["body"], ["bo", "dy"]), { nil: undefined });
  let served = 0;
  await fc.assert(
    fc.asyncProperty(hostileMethods, authorities, hostilePaths, hostileHeaders, bodies, async (...all) => {
      const [method, host, path, headers, parts] = all;
      const before = backend.requests.length;
      using client = await RawHttp2Client.connect(proxy.port, authority);
      const fields = headers.map(([name, value]): [string, string] => [name.toLowerCase(), value]);
      const { status } = await client.request([...headOf(method, host, path), ...fields], parts);
      if (status === 200) served++;
      guarded.mustHaveKept(before, JSON.stringify([all, status]));
    }),
    { numRuns: 100 },
  );
  assert(served > 0, "some paths are open");
});

function headOf(method: string, authority: string, path: string): [string, string][] {
  return [[":method", method], [":scheme", "https"], [":authority", authority], [":path", path]];
}
