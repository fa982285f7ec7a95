// A client that left while it was in the accept queue got a whole handshake: a millisecond each. After descriptors had
// run out, thousands of those came before the next client, which waited for seconds.

import { assertEquals } from "@std/assert";
import type { PendingConnection } from "../../../../../src/engines/wire/client/listener.ts";
import { listenTls } from "../../../../../src/engines/wire/client/tls_listener.ts";
import { portAddress } from "../../../../../src/net/listen_address.ts";
import { makeAuthority, makePair } from "../../../../support/certificates.ts";
import { RecordingLog } from "../../../../support/log.ts";
import { RawClient } from "../../../../support/raw_client.ts";

const authority = await makeAuthority();
const pair = await makePair({ authority });

/** A TLS listener whose connections wait to be established. */
class Waiting implements AsyncDisposable {
  readonly log = new RecordingLog();
  readonly #arrived: PendingConnection[] = [];
  #came = Promise.withResolvers<void>();
  readonly #listener;

  constructor({ proxyProtocol }: { readonly proxyProtocol: boolean }) {
    this.#listener = listenTls({
      at: { hostname: "127.0.0.1", port: 0 },
      proxyProtocol,
      log: this.log,
      acceptingChanged: () => {},
      refusePlainHttp: () => new Uint8Array(),
      onAccept: (pending) => {
        this.#arrived.push(pending);
        this.#came.resolve();
        return Promise.resolve();
      },
    }, { certificates: [{ ...pair, names: [] }] });
  }

  get port(): number {
    return portAddress(this.#listener.address).port;
  }

  async next(): Promise<PendingConnection> {
    while (true) {
      const pending = this.#arrived.shift();
      if (pending !== undefined) return pending;
      await this.#came.promise;
      this.#came = Promise.withResolvers();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener.close();
  }
}

/** What a client sends first. */
async function clientHello(): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connecting = Deno.connectTls({ hostname: "127.0.0.1", port: listener.addr.port, caCerts: [authority.cert] });
  const client = new RawClient(await listener.accept());
  const hello = await client.chunk();
  client.close();
  (await connecting.catch(() => undefined))?.close();
  return hello;
}

const hello = await clientHello();
const PROXY = new TextEncoder().encode("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");

for (
  const [what, proxyProtocol, parts] of [
    ["said nothing", false, []],
    ["sent a part of its hello", false, [hello.subarray(0, 11)]],
    ["sent its hello", false, [hello]],
    ["sent a PROXY header", true, [PROXY]],
    ["sent a PROXY header and its hello", true, [PROXY, hello]],
  ] as const
) {
  Deno.test(`a TLS listener begins no handshake with a client that ${what} and left before its turn`, async () => {
    await using waiting = new Waiting({ proxyProtocol });
    using client = await RawClient.connect(waiting.port);
    for (const part of parts) await client.send(part);
    await client.connection.closeWrite();
    const pending = await waiting.next();
    assertEquals(await pending.establish(), undefined);
    // To this client the server's part of the handshake would still come.
    assertEquals(await client.closed(), true);
    const reasons = waiting.log.lines.map(({ fields }) => fields.reason);
    assertEquals(reasons, ["the client left before the handshake"]);
  });
}

Deno.test("a TLS listener makes the handshake with a client whose hello waited in the accept queue", async () => {
  await using waiting = new Waiting({ proxyProtocol: false });
  const connecting = RawClient.connectTls(waiting.port, authority);
  const pending = await waiting.next();
  const establishing = pending.establish();
  using client = await connecting;
  await client.send("a");
  const established = await establishing;
  assertEquals(await established?.link.read(new Uint8Array(8)), 1);
  established?.link.close();
});

for (const [what, proxyProtocol, bytes] of [["", false, []], [" after a PROXY header", true, PROXY]] as const) {
  Deno.test(`a TLS listener closes a connection with garbage${what} that came before its turn`, async () => {
    // The runtime's TLS threw an error that nobody could catch: it was given the garbage before its first tick.
    await using waiting = new Waiting({ proxyProtocol });
    using client = await RawClient.connect(waiting.port);
    await client.send(Uint8Array.of(...bytes, ...new TextEncoder().encode("\0garbage\r\n\r\n")));
    const pending = await waiting.next();
    assertEquals(await pending.establish(), undefined);
    await client.rest();
  });
}
