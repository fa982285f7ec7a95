// Engine fetch: what the runtime notices of its peers is a line of the program's log, or nothing, and never a raw line.

import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { Program } from "../support/program.ts";
import { RawBackend } from "../support/raw_backend.ts";
import { RawClient } from "../support/raw_client.ts";
import { frame, headOf } from "../support/raw_http2.ts";
import { waitFor } from "../support/wait.ts";

/** Engine fetch with a certificate, and a backend that never finishes an answer. */
async function start() {
  const directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const tls = directory.writePair(await makePair({ authority }));
  const backend = new RawBackend(async (connection) => {
    await connection.head();
    if (connection.received.startsWith("POST")) return await connection.toEnd();
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    if (connection.received.startsWith("GET /cut")) await new Promise((resolve) => setTimeout(resolve, 50));
    else await connection.toEnd();
  });
  const settings = {
    proxy: { host: "127.0.0.1", port: 0, tls },
    admin: { port: 0 },
    backends: [backend.url],
    health: { type: "none" },
    retries: { attempts: 0 },
  };
  const config = directory.write("config.json", JSON.stringify(settings));
  const program = await Program.start(["--config", config, "--engine", "fetch", "--workers", "1"]);
  return {
    program,
    authority,
    backend,
    port: Number(new URL(program.url).port),
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
      directory[Symbol.dispose]();
    },
  };
}

function rawLines({ log }: Program): unknown[] {
  return log.filter(({ level }) => level === "stderr").map(({ message }) => message);
}

Deno.test("engine fetch logs a response that breaks off, in the log's own format", async () => {
  // The runtime printed the error by itself, in the middle of a log in JSON.
  await using served = await start();
  const { program, port, authority } = served;
  using client = await RawClient.connectTls(port, authority);
  const response = await client.request("GET /cut HTTP/1.1\r\nHost: localhost\r\n\r\n");
  assertEquals([response?.status, response?.complete], [200, false]);
  const { level } = await program.logged("response cut");
  assertEquals([level, rawLines(program)], ["warn", []]);
});

type Act = (tls: Socket, tcp: Socket) => void;

const STREAMS = [1, 3, 5, 7, 9];

/** What an HTTP/2 client has begun when it breaks off. */
const BEGUN: Readonly<Record<string, Act>> = {
  "nothing": () => {},
  "downloads": (tls) => STREAMS.forEach((stream) => tls.write(frame("HEADERS", 5, stream, headOf("GET", "/")))),
  "uploads": (tls) => {
    for (const stream of STREAMS) {
      tls.write(frame("HEADERS", 4, stream, headOf("POST", "/")));
      tls.write(frame("DATA", 0, stream, [1, 2, 3]));
    }
  },
};

const HALF_A_RECORD = Uint8Array.of(0x17, 3, 3, 1, 0, 1, 2, 3);
const NO_RECORD = Uint8Array.of(0x17, 3, 3, 0, 4, 1, 2, 3, 4);

/** How it does so. */
const BROKEN_OFF: Readonly<Record<string, Act>> = {
  "a reset": (_, tcp) => tcp.resetAndDestroy(),
  "an end without close_notify": (_, tcp) => tcp.end(),
  "an end with close_notify": (tls) => tls.end(),
  "a reset in the middle of a TLS record": (_, tcp) => tcp.write(HALF_A_RECORD, () => tcp.resetAndDestroy()),
  "a TLS record that is none": (_, tcp) => tcp.end(NO_RECORD),
  "GOAWAY and a reset": (tls, tcp) =>
    tls.write(frame("GOAWAY", 0, 0, [0, 0, 0, 0, 0, 0, 0, 2]), () => tcp.resetAndDestroy()),
  "RST_STREAM and a reset": (tls, tcp) => {
    for (const stream of STREAMS) tls.write(frame("RST_STREAM", 0, stream, [0, 0, 0, 8]));
    tls.write("", () => tcp.resetAndDestroy());
  },
  "a malformed frame": (tls, tcp) => tls.write(frame("SETTINGS", 0, 0, [1, 2, 3]), () => tcp.end()),
};

Deno.test("engine fetch says nothing of HTTP/2 clients that break off, and the runtime says nothing either", async () => {
  await using served = await start();
  const { program, port, authority, backend } = served;
  for (const [begun, begin] of Object.entries(BEGUN)) {
    for (const breakOff of Object.values(BROKEN_OFF)) {
      const before = backend.connections.length;
      const tcp = connect(port, "127.0.0.1").on("error", () => {}); // its own reset
      const closed = new Promise((resolve) => tcp.on("close", resolve));
      const tls = connectTls({ socket: tcp, ca: authority.cert, servername: "localhost", ALPNProtocols: ["h2"] });
      await new Promise((resolve) => tls.on("error", () => {}).on("secureConnect", resolve));
      tls.on("data", () => {});
      tls.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame("SETTINGS", 0, 0)]));
      begin(tls, tcp);
      const expected = begun === "nothing" ? before : before + STREAMS.length;
      await waitFor(() => backend.connections.length >= expected, { what: `${begun} to reach the backend` });
      breakOff(tls, tcp);
      tcp.setTimeout(200, () => tcp.destroy()); // where the server leaves it open
      await closed;
    }
  }
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
  assertEquals(program.log.filter(({ level }) => level !== "info"), []);
});
