// Servers that know nothing of chunks (WSGI, CGI) took each request body that came through the engine `fetch` for an empty
// one, and answered 200: forms and uploads to Django under gunicorn or wsgiref were lost without a sign.

import { assertEquals } from "@std/assert";
import { clientFor, makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { RawClient, textOf } from "../support/raw_client.ts";

/** Answers each request with the length and the hash of its body, as an application under WSGI gets to see it. */
const APPLICATION = `
import hashlib
from wsgiref.simple_server import make_server, WSGIRequestHandler

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REQUEST_METHOD']} {len(body)} {hashlib.sha256(body).hexdigest()}".encode()]

server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
`;

/** A server of Python's standard library. Dispose of it to end it. */
class WsgiBackend implements AsyncDisposable {
  private constructor(readonly url: string, readonly child: Deno.ChildProcess) {}

  static async start(): Promise<WsgiBackend> {
    const child = new Deno.Command("python3", { args: ["-c", APPLICATION], stdout: "piped" }).spawn();
    let port = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      port += part;
      if (port.endsWith("\n")) break;
    }
    return new WsgiBackend(`http://127.0.0.1:${port.trim()}`, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill();
    await this.child.status;
  }
}

async function seen(method: string, body: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  return `${method} ${body.length} ${hash}`;
}

function hasPython(): boolean {
  try {
    return new Deno.Command("python3", { args: ["--version"], stdout: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Nothing, a byte, a form, more than `fetch` reads ahead, more than the kernel's buffers hold. */
const SIZES = [0, 1, 500, 200_000, 20_000_000];

for (const engine of ["fetch", "wire"] as const) {
  Deno.test({
    name: `engine ${engine}: a server under WSGI gets the bodies of known length whole`,
    ignore: !hasPython(),
    async fn() {
      await using backend = await WsgiBackend.start();
      await using proxy = await TestProxy.start({ engine, backends: [backend.url] });
      using client = await RawClient.connect(proxy.port);
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
        for (const size of SIZES) {
          const body = new Uint8Array(size).fill(size % 251);
          const head = `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`;
          const [response] = await Promise.all([client.response(), client.send(head).then(() => client.send(body))]);
          assertEquals(response && [response.status, textOf(response)], [200, await seen(method, body)]);
        }
      }
      client.close();
      await proxy.idle();
    },
  });
}

Deno.test({
  name: "a server under WSGI gets the bodies of known length whole over TLS, of HTTP/1.1 and HTTP/2",
  ignore: !hasPython(),
  async fn() {
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const tls = directory.writePair(await makePair({ authority }));
    await using backend = await WsgiBackend.start();
    await using proxy = await TestProxy.start({ engine: "fetch", proxy: { tls }, backends: [backend.url] });
    for (const version of ["HTTP/1.1", "HTTP/2"] as const) {
      using client = clientFor(version, authority);
      for (const method of ["POST", "PUT"]) {
        for (const size of SIZES) {
          const body = new Uint8Array(size).fill(size % 251);
          const response = await fetch(proxy.url, { method, body, client });
          assertEquals([response.status, await response.text()], [200, await seen(method, body)], version);
        }
      }
    }
    await proxy.idle();
  },
});
