/** The backends behind every proxy: nginx, each in a process of its own. */
import { nginxLaunch } from "./nginx.ts";
import { findProgram, freePorts, ServerProcess } from "./processes.ts";

/** What the backends serve, by path, and how long each answer's body is. */
export const answers = {
  /** Without a file. */
  small: { path: "/small", bytes: 60 },
  medium: { path: "/64k", bytes: 64 * 1_024 },
  large: { path: "/1m", bytes: 1_024 * 1_024 },
  /** To a POST of up to 256 KiB, which is read whole before the answer. */
  upload: { path: "/upload", bytes: 60 },
} as const;

/** One backend. */
export interface Backend {
  readonly port: number;
  readonly process: ServerProcess;
}

/**
 * Starts `count` of them on 127.0.0.1, to be stopped by `stack`. Each has one thread and answers `/name` with its own
 * number from 1.
 *
 * @throws {Error} when nginx is not installed or does not start
 */
export async function startBackends(
  count: number,
  directory: string,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Backend[]> {
  const program = findProgram("nginx");
  if (program === undefined) throw new Error("nginx is needed for the backends: run scripts/bench/install.sh");
  const files = `${directory}/files`;
  await Deno.mkdir(files, { recursive: true });
  for (const { path, bytes } of Object.values(answers)) await Deno.writeTextFile(files + path, "x".repeat(bytes));

  const backends: Backend[] = [];
  for (const [index, port] of freePorts(count).entries()) {
    const own = `${directory}/backend-${index + 1}`;
    const http = serverBlocks(port, index + 1, files, `${own}/again.sock`);
    const launch = await nginxLaunch(program, own, { http, single: true });
    backends.push({ port, process: stack.use(await ServerProcess.start(launch, port, signal)) });
  }
  return backends;
}

/** Starts `count` backends that echo WebSocket messages. Resolves with their ports. */
export async function startEchoBackends(
  count: number,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const script = new URL("load/echo_backend.ts", import.meta.url).pathname;
  const ports = freePorts(count);
  for (const port of ports) {
    const args = ["run", "--quiet", "--no-config", "--allow-net=127.0.0.1", script, String(port)];
    stack.use(await ServerProcess.start({ command: Deno.execPath(), args }, port, signal));
  }
  return ports;
}

function serverBlocks(port: number, number: number, files: string, socket: string): string {
  return `
  open_file_cache max=16;
  default_type text/plain;
  upstream again { server unix:${socket}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${files};
    location = ${answers.small.path} { return 200 "${"x".repeat(answers.small.bytes)}"; }
    location = /name { return 200 "${number}"; }
    # "return" alone would answer before the body has come. Passing the request on to itself waits for it.
    location = ${answers.upload.path} {
      proxy_pass http://again;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_pass_request_body off;
    }
  }
  server {
    listen unix:${socket};
    location / { return 200 "${"x".repeat(answers.upload.bytes)}"; }
  }`;
}
