/**
 * A sample backend. Its responses say its name and what it has received. On request it is slow, fails requests, or
 * fails its health check.
 *
 *     deno run -A scripts/backend.ts --port 9001 --name one [--delay 50ms] [--failure-rate 0.1]
 */
import { parseArgs } from "@std/cli/parse-args";

/** How a sample backend behaves. */
export interface BackendOptions {
  /** On 127.0.0.1; 0 (the default) takes any free one. */
  readonly port?: number;
  /** Its name in its responses. Default: `backend-` and its port. */
  readonly name?: string;
  /** The delay of each response. Health checks are answered at once. Default 0. */
  readonly delayMs?: number;
  /** The share (0 to 1) of requests answered 500; health checks and switches never are. Default 0. */
  readonly failureRate?: number;
  /** Decides which requests fail; a test may pass its own. Default `Math.random`. */
  readonly random?: () => number;
}

/** A sample backend at work. */
export interface SampleBackend {
  readonly name: string;
  readonly port: number;
  /** Its origin, without a trailing slash. */
  readonly url: string;
  /** Requests so far, without health checks and those to `/fail` and `/recover`. */
  readonly requests: number;
  /**
   * Whether health checks get 503; nothing else is affected. Set it, or send `POST /fail` and `POST /recover`. A check
   * is any request to `/health`, and what roundhouse asks for as its check, whatever the path.
   */
  failing: boolean;
  /** Takes no new requests, finishes those in flight, ends event streams. */
  stop(): Promise<void>;
}

const streamIntervalMs = 1_000;
const checkUserAgent = "roundhouse health check";
/** The headers a proxy adds or passes on, shown in each answer where present. */
const shownHeaders = [
  "host",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-request-id",
  "client-cert",
];
const usage = "usage: deno run -A scripts/backend.ts [--port PORT] [--name NAME] [--delay 50ms] [--failure-rate 0.1]";

/** Starts a sample backend on 127.0.0.1. Throws `Deno.errors.AddrInUse` when the port is taken. */
export function startBackend(options: BackendOptions = {}): SampleBackend {
  const { delayMs = 0, failureRate = 0, random = Math.random } = options;
  const stopping = new AbortController();
  let requests = 0;

  const server = Deno.serve(
    { hostname: "127.0.0.1", port: options.port ?? 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const said = answerOfItself(backend, request, pathname);
      if (said !== undefined) return said;
      requests++;
      if (delayMs > 0) await sleep(delayMs, AbortSignal.any([request.signal, stopping.signal]));
      if (random() < failureRate) return new Response(`${backend.name} failed on purpose\n`, { status: 500 });
      return pathname === "/stream" ? eventStream(backend.name, stopping.signal) : echo(backend.name, request);
    },
  );

  const { port } = server.addr;
  const backend: SampleBackend = {
    name: options.name ?? `backend-${port}`,
    port,
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    failing: false,
    async stop() {
      stopping.abort();
      await server.shutdown();
    },
  };
  return backend;
}

/** The response to a health check, or to a request that makes checks fail or pass; `undefined` for other requests. */
function answerOfItself(backend: SampleBackend, request: Request, pathname: string): Response | undefined {
  if (pathname === "/health" || request.headers.get("user-agent") === checkUserAgent) {
    return backend.failing ? new Response("failing\n", { status: 503 }) : new Response("ok\n");
  }
  if (pathname !== "/fail" && pathname !== "/recover") return undefined;
  if (request.method !== "POST") return new Response("use POST\n", { status: 405, headers: { allow: "POST" } });
  backend.failing = pathname === "/fail";
  return new Response(`${backend.name} ${backend.failing ? "fails" : "passes"} its health check now\n`);
}

/** A response that says what has arrived. */
function echo(name: string, request: Request): Response {
  const { pathname, search } = new URL(request.url);
  const headers: Record<string, string> = {};
  for (const shown of shownHeaders) {
    const value = request.headers.get(shown);
    if (value !== null) headers[shown] = value;
  }
  const story = { backend: name, method: request.method, path: pathname + search, headers };
  return new Response(JSON.stringify(story) + "\n", { headers: { "content-type": "application/json" } });
}

/** Server-sent events, the first at once, then one a second, until the client leaves or `stop` fires. */
function eventStream(name: string, stop: AbortSignal): Response {
  const left = new AbortController();
  const ended = AbortSignal.any([left.signal, stop]);
  let count = 0;
  const body = new ReadableStream<string>({
    async pull(controller) {
      if (count > 0) await sleep(streamIntervalMs, ended);
      if (left.signal.aborted) return;
      if (stop.aborted) return controller.close();
      count++;
      controller.enqueue(`id: ${count}\ndata: ${JSON.stringify({ backend: name, count })}\n\n`);
    },
    cancel: () => left.abort(),
  }, { highWaterMark: 0 });
  return new Response(body.pipeThrough(new TextEncoderStream()), {
    headers: { "content-type": "text/event-stream", "cache-control": "no-cache" },
  });
}

/** Resolves after `ms`, or at once when `signal` fires. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
  });
}

/** The options of the flags, or the first error in them. */
function parseOptions(args: string[]): BackendOptions | "help" | Error {
  const unknown: string[] = [];
  const flags = parseArgs(args, {
    string: ["port", "name", "delay", "failure-rate"],
    boolean: ["help"],
    alias: { help: "h" },
    unknown: (arg) => {
      unknown.push(arg);
      return false;
    },
  });
  if (flags.help === true) return "help";
  if (unknown[0] !== undefined) return new Error(`unknown argument ${unknown[0]}`);

  const port = String(flags.port ?? "9001");
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    return new Error(`--port must be a whole number from 0 to 65535, received "${port}"`);
  }
  const name = flags.name === undefined ? undefined : String(flags.name);
  if (name === "") return new Error("--name must not be empty");
  const delay = String(flags.delay ?? "0ms");
  const delayMs = parseDelay(delay);
  if (delayMs === undefined) {
    return new Error(`--delay must be a duration up to 1h such as 50ms, 1.5s or 2m, received "${delay}"`);
  }
  const rate = String(flags["failure-rate"] ?? "0");
  if (!/^(\d+(\.\d*)?|\.\d+)$/.test(rate) || Number(rate) > 1) {
    return new Error(`--failure-rate must be a number from 0 to 1, received "${rate}"`);
  }
  return { port: Number(port), delayMs, failureRate: Number(rate), ...(name === undefined ? {} : { name }) };
}

/** Milliseconds of `50ms`, `1.5s`, `2m` or a bare `50`; `undefined` for anything else and for more than an hour. */
function parseDelay(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|)$/.exec(text);
  if (match === null) return undefined;
  const unitMs = match[2] === "s" ? 1_000 : match[2] === "m" ? 60_000 : 1;
  const ms = Number(match[1]) * unitMs;
  return ms <= 3_600_000 ? ms : undefined;
}

if (import.meta.main) {
  const options = parseOptions(Deno.args);
  if (options === "help") {
    console.log(usage);
    Deno.exit(0);
  }
  if (options instanceof Error) {
    console.error(`backend: ${options.message}`);
    Deno.exit(2);
  }

  let backend: SampleBackend;
  try {
    backend = startBackend(options);
  } catch (error) {
    console.error(`backend: can't listen on port ${options.port}: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }

  let stopping = false;
  const stop = () => {
    if (stopping) Deno.exit(1); // the second signal does not wait for requests in flight
    stopping = true;
    backend.stop().then(() => Deno.exit(0));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  console.log(`backend ${backend.name} listens on ${backend.url}`);
}
