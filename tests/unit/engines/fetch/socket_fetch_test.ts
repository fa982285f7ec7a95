// Responses of every form over a unix socket, and what is no response: engine fetch reads them itself there.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ProxyError } from "../../../../src/errors.ts";
import { SizedBody } from "../../../../src/engines/fetch/sized_body.ts";
import { fetchOverSocket, type SocketRequest } from "../../../../src/engines/fetch/socket_fetch.ts";
import { RawBackend, type RawConnection } from "../../../support/raw_backend.ts";
import { SocketDirectory } from "../../../support/unix_socket.ts";

type Script = (connection: RawConnection) => Promise<void> | void;

const OK = "HTTP/1.1 200 OK\r\n";

/** Asks a backend that runs `script` after it has got the head. */
async function ask(script: Script, request: Partial<SocketRequest>, use: (asked: Promise<Response>) => Promise<void>) {
  using directory = new SocketDirectory();
  const path = directory.at("app");
  await using _backend = new RawBackend(async (connection) => {
    await connection.head();
    await script(connection);
  }, path);
  const { signal } = new AbortController();
  const usual: SocketRequest = { path, method: "GET", target: "/", headers: [["host", "x"]], body: null, signal };
  await use(fetchOverSocket({ ...usual, ...request }));
}

function sends(text: string): Script {
  return async (connection) => {
    await connection.send(text);
    connection.close();
  };
}

function streamOf(...parts: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(parts.map((part) => new TextEncoder().encode(part)));
}

Deno.test("fetchOverSocket() reads responses of every framing", async () => {
  const cases: readonly (readonly [bytes: string, body: string | null, method?: string])[] = [
    [`${OK}Content-Length: 5\r\n\r\nhello`, "hello"],
    [`${OK}Content-Length: 5\r\n\r\nhello and more`, "hello"],
    [`${OK}Content-Length: 0\r\n\r\n`, null],
    [`${OK}Content-Length: 5\r\n\r\n`, null, "HEAD"],
    [`${OK}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: a\r\n\r\n`, "hello"],
    [`${OK}\r\nhello`, "hello"],
    ["HTTP/1.0 200 OK\r\n\r\nhello", "hello"],
    ["HTTP/1.1 204 No Content\r\n\r\n", null],
    ["HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", null],
    [`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`, "ok"],
    [`${OK}X-Large: ${"a".repeat(100_000)}\r\nContent-Length: 2\r\n\r\nok`, "ok"],
  ];
  for (const [bytes, body, method = "GET"] of cases) {
    await ask(sends(bytes), { method }, async (asked) => {
      const response = await asked;
      if (body === null) assertEquals(response.body, null, bytes);
      else assertEquals(await response.text(), body, bytes.slice(0, 200));
    });
  }
});

Deno.test("fetchOverSocket() keeps headers apart, and what the proxy does not understand", async () => {
  const lines = "Set-Cookie: a=1\r\nset-cookie: b=2\r\nX-Odd: ;,\r\nContent-Encoding: gzip\r\n";
  await ask(sends(`${OK}${lines}Content-Length: 2\r\n\r\nok`), {}, async (asked) => {
    const { headers, status } = await asked.then(async (response) => (await response.bytes(), response));
    assertEquals([status, headers.getSetCookie()], [200, ["a=1", "b=2"]]);
    assertEquals([headers.get("x-odd"), headers.get("content-encoding")], [";,", "gzip"]);
  });
});

Deno.test("fetchOverSocket() refuses what is no response, and says whose fault it is", async () => {
  const cases: readonly (readonly [bytes: string, code: string])[] = [
    ["", "connection_lost"],
    ["HTTP/1.1 200", "connection_lost"],
    ["garbage\r\n\r\n", "malformed_response"],
    ["HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "malformed_response"],
    ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n", "malformed_response"],
    [`${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, "malformed_response"],
    [`${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, "malformed_response"],
    [`${OK}Transfer-Encoding: gzip\r\n\r\n`, "malformed_response"],
    [`${OK}X: ${"a".repeat(600_000)}`, "malformed_response"],
  ];
  for (const [bytes, code] of cases) {
    await ask(sends(bytes), {}, async (asked) => {
      const error = await assertRejects(() => asked, ProxyError);
      assertEquals([error.code, error.requestSent], [code, true], `${bytes.slice(0, 80)}: ${error.message}`);
    });
  }
  using directory = new SocketDirectory();
  const { signal } = new AbortController();
  const path = directory.at("none");
  const asked = fetchOverSocket({ path, method: "GET", target: "/", headers: [], body: null, signal });
  const error = await assertRejects(() => asked, ProxyError);
  assertEquals([error.code, error.requestSent, error.message.includes(path)], ["connect_failed", false, false]);
});

Deno.test("fetchOverSocket() fails a body that breaks off, and never ends it as if it were whole", async () => {
  const broken = [
    `${OK}Content-Length: 50\r\n\r\nhello`,
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz`,
  ];
  for (const bytes of broken) {
    await ask(sends(bytes), {}, async (asked) => {
      const response = await asked;
      await assertRejects(() => response.text(), ProxyError);
    });
  }
});

Deno.test("fetchOverSocket() frames bodies of requests, and sends the head as it is", async () => {
  const cases = [
    [{ method: "POST" }, "content-length: 0\r\n\r\n"],
    [{ method: "DELETE" }, "host: x\r\n\r\n"],
    [
      { method: "POST", body: streamOf("hel", "", "lo") },
      "transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    ],
    [{ method: "PUT", body: new SizedBody(5, () => streamOf("hel", "lo")) }, "content-length: 5\r\n\r\nhello"],
  ] as const;
  for (const [request, end] of cases) {
    await ask(
      async (connection) => {
        await connection.until(end);
        await connection.send(`${OK}Content-Length: 0\r\n\r\n`);
      },
      { target: "/a//b/../%2e?x", ...request, signal: AbortSignal.timeout(10_000) },
      async (asked) => {
        assertEquals((await asked).status, 200);
      },
    );
  }
});

Deno.test("fetchOverSocket() takes an answer that comes before the body has been sent", async () => {
  const held = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      await held.promise;
      controller.close();
    },
  });
  await ask(sends("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"), { method: "POST", body }, async (asked) => {
    const response = await asked;
    assertEquals([response.status, await response.text()], [413, "no"]);
    held.resolve();
  });
});

Deno.test("fetchOverSocket() ends with its signal, before the answer and within it, and with its client", async () => {
  const silent: Script = (connection) => connection.toEnd();
  const limit = new AbortController();
  await ask(silent, { signal: limit.signal }, async (asked) => {
    limit.abort(new Error("too late"));
    await assertRejects(() => asked, Error, "too late");
  });
  const begins: Script = async (connection) => {
    await connection.send(`${OK}Content-Length: 50\r\n\r\nhello`);
    await connection.toEnd();
  };
  const cut = new AbortController();
  await ask(begins, { signal: cut.signal }, async (asked) => {
    const reader = (await asked).body?.getReader();
    assertEquals(new TextDecoder().decode((await reader?.read())?.value), "hello");
    const next = reader?.read();
    cut.abort();
    await assertRejects(async () => await next);
  });
  await ask(begins, {}, async (asked) => {
    const { body } = await asked;
    assert(body !== null);
    await body.cancel();
  });
  const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull() {
      throw new Error("the client left");
    },
  });
  await ask(silent, { method: "POST", body: broken }, async (asked) => {
    await assertRejects(() => asked, Error, "the client left");
  });
});
