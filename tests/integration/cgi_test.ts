// Python's server for CGI passes a script's header lines on as they are, in LF alone: through the engine `wire` each page
// of such a script was 502.

import { assertEquals, assertNotMatch } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { TestProxy } from "../support/proxy.ts";
import { headerOf, RawClient, textOf } from "../support/raw_client.ts";

/** Answers in LF alone with what came of the request. */
const SCRIPT = `#!/usr/bin/env python3
import os, sys
body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
page = f"{os.environ['REQUEST_METHOD']} {os.environ['QUERY_STRING']} ".encode() + body
sys.stdout.buffer.write(f"Content-Type: text/plain\\nX-Script: yes\\nContent-Length: {len(page)}\\n\\n".encode() + page)
`;

const SERVER = `
from http.server import CGIHTTPRequestHandler, HTTPServer

class Quiet(CGIHTTPRequestHandler):
    def log_message(self, *args):
        pass

server = HTTPServer(("127.0.0.1", 0), Quiet)
print(server.server_port, flush=True)
server.serve_forever()
`;

/** What `python3 -m http.server --cgi` runs, on a free port. Dispose of it to end it. */
class CgiBackend implements AsyncDisposable {
  private constructor(
    readonly url: string,
    readonly child: Deno.ChildProcess,
    readonly directory: TemporaryDirectory,
  ) {}

  static async start(): Promise<CgiBackend> {
    const directory = new TemporaryDirectory();
    Deno.chmodSync(directory.path, 0o755); // run by root, the server becomes "nobody" before it runs a script
    Deno.mkdirSync(`${directory.path}/cgi-bin`);
    Deno.writeTextFileSync(`${directory.path}/cgi-bin/page.py`, SCRIPT, { mode: 0o755 });
    const args = ["-W", "ignore", "-c", SERVER];
    const child = new Deno.Command("python3", { args, cwd: directory.path, stdout: "piped" }).spawn();
    let port = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      port += part;
      if (port.endsWith("\n")) break;
    }
    return new CgiBackend(`http://127.0.0.1:${port.trim()}`, child, directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill();
    await this.child.status;
    this.directory[Symbol.dispose]();
  }
}

function canServeCgi(): boolean {
  try {
    const args = ["-W", "ignore", "-c", "from http.server import CGIHTTPRequestHandler"]; // gone in Python 3.15
    return new Deno.Command("python3", { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test({
    name: `engine ${engine}: a script's page crosses, whose header lines end in LF alone`,
    ignore: !canServeCgi(),
    async fn() {
      await using backend = await CgiBackend.start();
      await using proxy = await TestProxy.start({ engine, backends: [backend.url] });
      for (const [method, body] of [["GET", ""], ["POST", "looks like a head's end\r\n\r\nin a body"]] as const) {
        using client = await RawClient.connect(proxy.port);
        const length = method === "POST" ? `Content-Length: ${body.length}\r\n` : "";
        await client.send(`${method} /cgi-bin/page.py?q HTTP/1.1\r\nHost: x\r\n${length}\r\n${body}`);
        const response = await client.response();
        assertEquals(
          response && [response.status, headerOf(response, "x-script"), textOf(response)],
          [200, "yes", `${method} q ${body}`],
        );
        assertNotMatch(response?.head ?? "", /[^\r]\n/);
      }
      await proxy.idle();
      assertEquals(proxy.backend(backend.url).totalFailures, 0);
    },
  });
}
