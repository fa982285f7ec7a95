/**
 * A proxy as small as the runtime allows: `Deno.serve`, `fetch`, and a signal that ends the request to the backend when
 * the client leaves. Arguments: the port to listen on, then those of the backends, which take turns.
 */
const [port, ...backends] = Deno.args.map(Number);
const client = Deno.createHttpClient({ poolMaxIdlePerHost: 256 });
let turn = 0;

/** Headers about one connection. `fetch` sets its own `Host`. */
const DROPPED = new Set(["host", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"]);

async function forward(request: Request): Promise<Response> {
  const backend = backends[turn++ % backends.length];
  const path = request.url.slice(request.url.indexOf("/", "http://".length));
  const attempt = new AbortController();
  const leave = () => attempt.abort();
  request.signal.addEventListener("abort", leave);
  try {
    const response = await fetch(`http://127.0.0.1:${backend}${path}`, {
      method: request.method,
      headers: Array.from(request.headers).filter(([name]) => !DROPPED.has(name)),
      body: request.body,
      redirect: "manual",
      signal: attempt.signal,
      client,
    });
    const headers = Array.from(response.headers).filter(([name]) => !DROPPED.has(name));
    return new Response(response.body, { status: response.status, headers });
  } catch {
    return new Response("Bad Gateway", { status: 502 });
  }
}

Deno.serve({ hostname: "127.0.0.1", port: port ?? 0, onListen() {} }, forward);
