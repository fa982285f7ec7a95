import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { connect } from "node:net";
import { type AcceptedConnection, Acceptor, type AcceptorOptions } from "../../../src/net/acceptor.ts";
import { type ClientListener, listenAt, portAddress } from "../../../src/net/listen_address.ts";
import { SocketFile } from "../../../src/net/socket_file.ts";
import { RecordingLog } from "../../support/log.ts";
import { RawClient } from "../../support/raw_client.ts";
import { connectTo, SocketDirectory } from "../../support/unix_socket.ts";
import { waitFor } from "../../support/wait.ts";

/** An acceptor that greets everybody and closes. */
class Greeter implements AsyncDisposable {
  readonly log = new RecordingLog();
  readonly told: boolean[] = [];
  readonly acceptor: Acceptor;
  accepted = 0;

  constructor(options: Partial<AcceptorOptions> = {}) {
    this.acceptor = new Acceptor({
      at: { hostname: "127.0.0.1", port: 0 },
      log: this.log,
      onAccept: ({ link }: AcceptedConnection) => {
        this.accepted++;
        link.close();
      },
      acceptingChanged: (accepting) => this.told.push(accepting),
      ...options,
    });
  }

  get port(): number {
    return portAddress(this.acceptor.address).port;
  }

  async greets(): Promise<void> {
    const before = this.accepted;
    using _ = await RawClient.connect(this.port);
    await waitFor(() => this.accepted > before, { what: "the client to be accepted" });
  }

  /** The reasons of the lines with this message. */
  lines(message: string): unknown[] {
    return this.log.lines.filter((line) => line.message === message).map(({ fields }) => fields.reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.acceptor.close();
  }
}

/** Connects, and resets the connection. */
function reset(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1", () => socket.resetAndDestroy());
  return new Promise((resolve) => socket.on("close", resolve).on("error", () => {}));
}

/** A listener whose `accept` first answers with these errors, one after the other. */
function failingFirst(errors: Error[]): NonNullable<AcceptorOptions["listen"]> {
  return (at) => {
    const listener = listenAt(at);
    const { accept } = listener;
    return Object.assign(listener, {
      accept: () => {
        const error = errors.shift();
        return error === undefined ? accept.call(listener) : Promise.reject(error);
      },
    });
  };
}

function coded(code: string): Error {
  return Object.assign(new Error(code), { code });
}

Deno.test("Acceptor goes on at once behind clients that have reset their connections, in few log lines", async () => {
  // Each made the loop rest for 100 ms: forty port scans or TCP checks a second, and nobody was served.
  const holding = Promise.withResolvers<void>();
  let accepted = 0;
  await using greeter = new Greeter({
    onAccept: async ({ link }) => {
      link.close();
      if (accepted++ === 0) await holding.promise;
    },
  });
  using _first = await RawClient.connect(greeter.port);
  await waitFor(() => accepted === 1, { what: "the first client" });
  for (let round = 0; round < 4; round++) await Promise.all(Array.from({ length: 50 }, () => reset(greeter.port)));
  using _last = await RawClient.connect(greeter.port);
  const begun = performance.now();
  holding.resolve();
  await waitFor(() => accepted === 2, { what: "the client behind them" });
  const tookMs = performance.now() - begun;
  assertLess(tookMs, 5000); // they were worth 20 s
  assertEquals(greeter.told, []);
  await greeter.acceptor.close();
  const told = greeter.log.lines.filter(({ message }) => message === "client lost before it was accepted");
  assertEquals(told.reduce((sum, { fields }) => sum + Number(fields.times), 0), 200);
  assert(told.length <= 2 + tookMs / 1000, `${told.length} lines`);
});

Deno.test("Acceptor closes a connection that tells nothing of itself, and goes on", async () => {
  // A client that resets between `accept` and `setNoDelay` left its connection open for good.
  const odd: (Deno.TcpConn | Deno.UnixConn)[] = [];
  await using greeter = new Greeter({
    listen: (at) => {
      const listener = listenAt(at);
      const { accept } = listener;
      return Object.assign(listener, {
        accept: async () => {
          const connection = await accept.call(listener);
          if (odd.push(connection) > 2) return connection;
          const fail = () => {
            throw coded("ENOTCONN");
          };
          if (odd.length === 1 && "setNoDelay" in connection) connection.setNoDelay = fail;
          else Object.defineProperty(connection, "remoteAddr", { get: fail });
          return connection;
        },
      });
    },
  });
  for (let client = 0; client < 2; client++) {
    using gone = await RawClient.connect(greeter.port);
    assertEquals(await gone.closed(), true);
  }
  assertEquals(greeter.accepted, 0);
  await greeter.greets();
});

Deno.test("Acceptor rests when the system has no more to give, says so, and only then", async () => {
  for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]) {
    await using greeter = new Greeter({ listen: failingFirst([coded(code)]) });
    const begun = performance.now();
    await waitFor(() => greeter.told.length === 1, { what: "the end of accepting" });
    await greeter.greets();
    assert(performance.now() - begun > 90, `${code} deserves a rest`);
    assertEquals(greeter.told, [false, true]);
    assertEquals(greeter.lines("connection not accepted"), [code]);
  }
  for (const code of ["ENOTCONN", "ECONNABORTED", "ECONNRESET", "EPROTO", "EPERM", "ETIMEDOUT", "EINVAL"]) {
    const errors = Array.from({ length: 200 }, () => coded(code));
    await using greeter = new Greeter({ listen: failingFirst(errors) });
    const begun = performance.now();
    await greeter.greets();
    assertLess(performance.now() - begun, 5000, code);
    assertEquals(greeter.told, [], code);
  }
});

Deno.test("Acceptor says that it accepts again though no client comes", async () => {
  // A balancer in front that goes by /readyz sends nobody until then.
  await using greeter = new Greeter({ listen: failingFirst([coded("EMFILE"), coded("EMFILE")]) });
  await waitFor(() => greeter.told.length === 2, { what: "accepting again" });
  assertEquals(greeter.told, [false, true]);
});

Deno.test("Acceptor opens a listener that has ended anew, at the same port, as soon as it can", async () => {
  const listeners: ClientListener[] = [];
  let failures = 0;
  await using greeter = new Greeter({
    listen: (at) => {
      if (listeners.length === 1 && failures++ < 2) throw coded("EMFILE");
      const listener = listenAt(at);
      listeners.push(listener);
      return listener;
    },
  });
  await greeter.greets();
  listeners[0]?.close();
  await waitFor(() => listeners.length === 2, { what: "another listener" });
  await greeter.greets();
  assertEquals(greeter.told, [false, true]);
  assertEquals(listeners[1]?.addr, listeners[0]?.addr);
});

Deno.test("Acceptor gives others a turn while clients, or errors, are always ready", async () => {
  let ready = true;
  await using _greeter = new Greeter({
    listen: (at) => {
      const listener = listenAt(at);
      const { accept } = listener;
      const failing = () => ready ? Promise.reject(coded("ECONNABORTED")) : accept.call(listener);
      return Object.assign(listener, { accept: failing });
    },
  });
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve));
  ready = false;
});

Deno.test("Acceptor ends in the middle of a rest", async () => {
  const greeter = new Greeter({ listen: failingFirst(Array.from({ length: 100 }, () => coded("EMFILE"))) });
  await waitFor(() => greeter.told.length > 0, { what: "a rest" });
  await greeter.acceptor.close();
  assertEquals(greeter.told, [false]);
});

Deno.test("Acceptor serves a unix socket: it rests, opens the socket anew, and removes it at its end", async () => {
  using directory = new SocketDirectory();
  const path = directory.at("front");
  const errors = [coded("EMFILE")];
  const listeners: ClientListener[] = [];
  const peers: string[] = [];
  const greeter = new Greeter({
    at: await SocketFile.claim({ path, mode: 0o600 }),
    listen(at) {
      const listener = failingFirst(errors)(at);
      listeners.push(listener);
      return listener;
    },
    onAccept({ link, peer, local }) {
      peers.push(`${peer} at ${local}`);
      link.close();
    },
  });
  const greeted = async () => {
    const before = peers.length;
    using _ = await connectTo(path);
    await waitFor(() => peers.length > before, { what: "the client to be accepted" });
  };
  await waitFor(() => greeter.told.length === 2, { what: "the end of the rest" });
  await greeted();
  listeners[0]?.close();
  await waitFor(() => listeners.length === 2, { what: "another listener" });
  await greeted();
  assertEquals(peers, ["unix at localhost", "unix at localhost"]);
  assertEquals(greeter.told, [false, true, false, true]);
  await greeter.acceptor.close();
  await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
});
