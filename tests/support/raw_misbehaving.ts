/** Backends for long runs: some behave normally, some treat each request badly in a random way. */

import { HttpBackend } from "./http_backend.ts";
import { RawBackend, type RawConnection } from "./raw_backend.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Large enough for a client to leave in the middle. */
const LARGE_BODY_BYTES = 2 * 1024 * 1024;

/** A normal backend: echoes the token and the length of the body, streams large bodies, speaks WebSocket. */
export function goodBackend(random: () => number, maxDelayMs: number): HttpBackend {
  return new HttpBackend(async (request) => {
    if (request.headers.get("upgrade") === "websocket") {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(data);
      return response;
    }
    let bodyBytes = 0;
    for await (const chunk of request.body ?? []) bodyBytes += chunk.length;
    if (maxDelayMs > 0) await pause(random() * maxDelayMs);
    if (request.url.includes("/large")) return new Response(new Uint8Array(LARGE_BODY_BYTES));
    if (random() < 0.02) {
      return new Response(tokenOf(request.headers.get("x-token")), { status: random() < 0.5 ? 500 : 503 });
    }
    return new Response(`${tokenOf(request.headers.get("x-token"))} ${bodyBytes}`);
  });
}

function tokenOf(value: string | null | undefined): string {
  return value ?? "none";
}

/** How a misbehaving backend treats a request whose head it has read; `true`: the connection may be used again. */
type Misdeed = (connection: RawConnection, token: string) => Promise<boolean>;

const MISDEEDS: readonly Misdeed[] = [
  async (connection, token) => {
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${token.length}\r\n\r\n${token}`); // for once, none
    return true;
  },
  () => Promise.resolve(false),
  async (connection, token) => {
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${token}`);
    return false;
  },
  async (connection, token) => {
    await connection.send(
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${token.length.toString(16)}\r\n${token}\r\nzz\r\n`,
    );
    return false;
  },
  async (connection) => {
    await connection.send("complete nonsense\r\n\r\n");
    return false;
  },
  async (connection) => {
    await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    return false;
  },
  async (connection, token) => {
    const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${token.length}\r\n\r\n${token}${poison}`);
    return true;
  },
  async (connection, token) => {
    await connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${token.length}\r\n\r\n${token}`);
    return true;
  },
  async (connection) => {
    await connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    return false;
  },
  async (connection) => {
    await connection.toEnd(); // silence
    return false;
  },
];

/** Draws a misdeed for each request; `random` as for `Math.random`. */
export function badBackend(random: () => number): RawBackend {
  return new RawBackend(async (connection) => {
    if (random() < 0.1) return void await connection.read(1); // a reset: the rest stays unread
    while (await connection.head()) {
      const token = /^x-token: *(.*?) *\r$/im.exec(connection.received)?.[1];
      const misdeed = MISDEEDS[Math.floor(random() * MISDEEDS.length)];
      // An unread body would look like the next head. So it accepts at most one request with a body.
      const hasBody = /^(?:content-length: *[1-9]|transfer-encoding:)/im.test(connection.received);
      if (misdeed === undefined || !await misdeed(connection, tokenOf(token)) || hasBody) return;
    }
  });
}
