/** The proxies that are measured: what each needs and how it is started. A further one is one more entry in `peers`. */
import { nginxLaunch } from "./nginx.ts";
import { findProgram, freePorts, type Launch, run } from "./processes.ts";

/** What a peer gets to know when it is started. */
export interface PeerContext {
  /** What its `program` found. */
  readonly program: string;
  /** A directory of its own for whatever it writes; it exists. */
  readonly directory: string;
  /** Where on 127.0.0.1 it has to listen. */
  readonly port: number;
  /** The ports of the backends on 127.0.0.1. */
  readonly backends: readonly number[];
  readonly signal: AbortSignal;
}

/**
 * A proxy under comparison. All run on one thread where they can, take turns between the backends, keep connections to
 * them open, check no health, log no requests and set `X-Forwarded-For`, `-Proto` and `-Host`.
 */
export interface Peer {
  readonly name: string;
  /** The path of the program to run; `undefined` when it is not there. */
  program(): string | undefined;
  /** What to do when it is not there, e.g. which Debian package has it. */
  readonly remedy: string;
  /** Arguments that make the program print its version. */
  readonly versionArgs: readonly string[];
  /** Prepares what the proxy needs and says how to run it in the foreground. */
  launch(context: PeerContext): Promise<Launch>;
}

const root = new URL("../../", import.meta.url);
/** Beyond the 64 connections of the load, so that none to a backend is ever closed for want of room. */
const idleConnections = 256;

/** Every proxy the benchmark knows. */
export const peers: readonly Peer[] = [
  roundhouse("fetch"),
  {
    name: "caddy",
    program: () => findProgram("caddy"),
    remedy: "install the Debian package caddy",
    versionArgs: ["version"],
    async launch({ program, directory, port, backends }) {
      const handler = {
        handler: "reverse_proxy",
        upstreams: backends.map((backend) => ({ dial: `127.0.0.1:${backend}` })),
        load_balancing: { selection_policy: { policy: "round_robin" } },
        transport: {
          protocol: "http",
          keep_alive: { max_idle_conns: 2 * idleConnections, max_idle_conns_per_host: idleConnections },
        },
      };
      const server = {
        listen: [`127.0.0.1:${port}`],
        automatic_https: { disable: true },
        routes: [{ handle: [handler] }],
      };
      const config = {
        admin: { disabled: true, config: { persist: false } },
        logging: { logs: { default: { level: "ERROR" } } },
        apps: { http: { servers: { proxy: server } } },
      };
      const file = await writeConfig(directory, "caddy.json", JSON.stringify(config));
      const env = { GOMAXPROCS: "1", HOME: directory, XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory };
      return { command: program, args: ["run", "--config", file], env };
    },
  },
  {
    name: "go ReverseProxy",
    program: () => findProgram("go"),
    remedy: "install the Debian package golang-go",
    versionArgs: ["version"],
    async launch({ program, directory, port, backends, signal }) {
      const binary = `${directory}/go_proxy`;
      await run(
        { command: program, args: ["build", "-o", binary, "go_proxy.go"], cwd: new URL(".", import.meta.url) },
        signal,
      );
      const addresses = [port, ...backends].map((number) => `127.0.0.1:${number}`);
      return { command: binary, args: addresses, env: { GOMAXPROCS: "1" } };
    },
  },
  {
    name: "haproxy",
    program: () => findProgram("haproxy"),
    remedy: "install the Debian package haproxy",
    versionArgs: ["-v"],
    async launch({ program, directory, port, backends }) {
      const config = `
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend proxy
  bind 127.0.0.1:${port}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend pool
backend pool
  balance roundrobin
  ${backends.map((backend, index) => `server b${index} 127.0.0.1:${backend}`).join("\n  ")}
`;
      return { command: program, args: ["-db", "-f", await writeConfig(directory, "haproxy.cfg", config)] };
    },
  },
  {
    name: "nginx",
    program: () => findProgram("nginx"),
    remedy: "install the Debian package nginx-light",
    versionArgs: ["-v"],
    launch({ program, directory, port, backends }) {
      const http = `
  upstream pool {
    ${backends.map((backend) => `server 127.0.0.1:${backend};`).join("\n    ")}
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://pool;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $host:$server_port;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
    }
  }`;
      return nginxLaunch(program, directory, http);
    },
  },
];

/** roundhouse itself, by the engine that moves the bytes. */
function roundhouse(engine: string): Peer {
  return {
    name: `roundhouse (${engine})`,
    program: () => exists(new URL("main.ts", root)) ? Deno.execPath() : undefined,
    remedy: "it wants main.ts at the top of the repository",
    versionArgs: ["run", "-P", new URL("main.ts", root).pathname, "--version"],
    async launch({ program, directory, port, backends }) {
      const config = {
        proxy: { host: "127.0.0.1", port },
        admin: { host: "127.0.0.1", port: freePorts(1)[0] },
        backends: backends.map((backend) => `http://127.0.0.1:${backend}`),
        engine,
        health: { type: "none" },
        log: { level: "error" },
      };
      const file = await writeConfig(directory, "config.json", JSON.stringify(config));
      return { command: program, args: ["run", "-P", "main.ts", "--config", file], cwd: root };
    },
  };
}

async function writeConfig(directory: string, name: string, text: string): Promise<string> {
  const path = `${directory}/${name}`;
  await Deno.writeTextFile(path, text);
  return path;
}

function exists(path: URL): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
