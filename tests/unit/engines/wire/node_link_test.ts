import { assert, assertEquals, assertRejects } from "@std/assert";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { NodeLink } from "../../../../src/engines/wire/node_link.ts";
import { makePair } from "../../../support/certificates.ts";
import { concat, RawClient } from "../../../support/raw_client.ts";
import { waitFor } from "../../../support/wait.ts";

/** The two ends of one encrypted connection: the link under test, and a client. */
async function linked() {
  const pair = await makePair();
  const arrived = Promise.withResolvers<TLSSocket>();
  const server: Server = createServer({ ...pair, allowHalfOpen: true }, (socket) => arrived.resolve(socket));
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object");
  const { port } = address;
  const connecting = Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [pair.cert] });
  const socket = await arrived.promise;
  const client = new RawClient(await connecting);
  const link = new NodeLink(socket);
  return {
    link,
    client,
    async [Symbol.asyncDispose]() {
      client.close();
      link.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

Deno.test("NodeLink reads what comes, in parts as small as asked for, and then the end", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  const sent = Uint8Array.from({ length: 100_000 }, (_, at) => at % 251);
  const sending = client.send(sent).then(() => client.connection.closeWrite());
  const got: Uint8Array[] = [];
  for (let size = 1;; size = size * 3 % 7001) {
    const into = new Uint8Array(size);
    const count = await link.read(into);
    if (count === null) break;
    assert(count > 0 && count <= size);
    got.push(into.slice(0, count));
  }
  await sending;
  assertEquals(concat(got), sent);
  assertEquals(await link.read(new Uint8Array(1)), null); // still
  // It has ended on one side only.
  assertEquals(await link.write(new TextEncoder().encode("late")), 4);
  assertEquals(new TextDecoder().decode(await client.chunk()), "late");
});

Deno.test("NodeLink writes in parts, so that a peer that takes them slowly is seen to take them", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  const bytes = Uint8Array.from({ length: 150_000 }, (_, at) => at % 251);
  const parts: number[] = [];
  const reading = client.rest();
  for (let sent = 0; sent < bytes.length; sent += parts.at(-1) ?? 0) parts.push(await link.write(bytes.subarray(sent)));
  await link.closeWrite();
  assertEquals([parts, await reading], [[65_536, 65_536, 18_928], bytes]);
});

Deno.test("NodeLink holds back a peer whose bytes nobody reads", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  const block = new Uint8Array(1024 * 1024);
  let sent = 0;
  const flood = (async () => {
    while (sent < 200) {
      await client.send(block);
      sent++;
    }
  })().catch(() => {}); // cut at the end of the test
  let last = -1;
  await waitFor(async () => {
    if (sent === last) return true;
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return false;
  }, { what: "the peer to wait", timeoutMs: 20_000 });
  assert(sent < 64, `${sent} MiB were taken`);
  assertEquals(await link.read(new Uint8Array(10)), 10);
  client.close();
  await flood;
});

Deno.test("NodeLink: a closed one fails whoever waits and whoever comes", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  const reading = link.read(new Uint8Array(10));
  link.close();
  await assertRejects(() => reading, Error, "closed");
  await assertRejects(() => link.read(new Uint8Array(10)), Error, "closed");
  await assertRejects(() => link.write(new Uint8Array(10)));
  link.close(); // does nothing
  await link.closeWrite().catch(() => {}); // settles
  assertEquals(await client.closed(), true);
});

Deno.test("NodeLink: a peer that breaks off fails writes, and reads end", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  const waiting = link.read(new Uint8Array(10)).catch(() => null);
  client.close();
  assertEquals(await waiting, null);
  await waitFor(async () => await link.write(new Uint8Array(100_000)).then(() => false, () => true), {
    what: "writes to fail",
  });
});

Deno.test("NodeLink.closeWrite tells the peer of the end, and reading goes on", async () => {
  await using ends = await linked();
  const { link, client } = ends;
  await link.write(new TextEncoder().encode("last words"));
  await link.closeWrite();
  assertEquals(new TextDecoder().decode(await client.rest()), "last words");
  await client.send("heard");
  const into = new Uint8Array(10);
  assertEquals(await link.read(into), 5);
});
