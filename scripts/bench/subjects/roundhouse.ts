/** roundhouse itself, by the engine that moves the bytes and the number of workers. */
import { type Site, type SourceTree, type Subject, writeConfig } from "../subject.ts";

const here = new URL("../../../", import.meta.url);

/** `fetch-2` is engine `fetch` with two workers; `fetch-2@REV` the same of another revision. */
export function roundhouse(engine: "fetch" | "wire", workers: number, tree?: SourceTree): Subject {
  const root = tree?.root ?? here;
  const main = new URL("main.ts", root).pathname;
  const suffix = tree === undefined ? "" : `@${tree.label}`;
  return {
    name: `${engine}${workers === 1 ? "" : `-${workers}`}${suffix}`,
    title: `roundhouse ${engine}${workers === 1 ? "" : `, ${workers} workers`}${suffix}`,
    own: true,
    sessions: true,
    program: () => Deno.execPath(),
    remedy: "it needs deno",
    versionArgs: ["run", "-P", main, "--version"],
    async launch(site) {
      const config = JSON.stringify(configuration(engine, workers, site));
      const file = await writeConfig(site.directory, "config.json", config);
      const how = site.built ? [] : ["run", "-P", main];
      return { command: site.program, args: [...how, "--config", file], cwd: root };
    },
    at: (tree) => roundhouse(engine, workers, tree),
  };
}

function configuration(engine: string, workers: number, site: Site) {
  const { port, adminPort, backends, certificate, watchful, production, pools, hash } = site;
  return {
    proxy: {
      host: "127.0.0.1",
      port,
      workers,
      ...(certificate === undefined ? {} : { tls: { cert: certificate.cert, key: certificate.key } }),
      ...(production ? { trustForwarded: ["127.0.0.0/8"] } : {}),
    },
    admin: { host: "127.0.0.1", port: adminPort },
    ...(pools > 0 ? {} : { backends: backends.map((backend) => `http://127.0.0.1:${backend}`) }),
    engine,
    health: !watchful ? { type: "none" } : pools > 0 ? {} : { path: "/name", interval: "1s" },
    ...(production
      ? { sticky: { by: "cookie", cookie: "session" }, log: { access: true } }
      : { log: { level: "error" } }),
    ...(pools > 0 ? poolsAndRoutes(site) : {}),
    ...(hash === undefined ? {} : { routes: routesWithPassword(hash) }),
  };
}

function routesWithPassword(hash: string) {
  return { "*/*": "default", "*/private/*": { pool: "default", auth: { basic: { users: { user: hash } } } } };
}

/** One pool gets all requests for this machine, and has the usual backends. Each of the others has three of its own. */
function poolsAndRoutes({ backends, pools }: Site) {
  const urls = (pool: number) =>
    Array.from({ length: 3 }, (_, index) => `http://127.0.0.1:${backends[index % backends.length]}/${pool}/${index}`);
  const others = Array.from({ length: pools - 1 }, (_, index) => index);
  return {
    pools: {
      "this-machine": { backends: backends.map((backend) => `http://127.0.0.1:${backend}`) },
      ...Object.fromEntries(others.map((pool) => [`pool-${pool}`, { backends: urls(pool) }])),
    },
    routes: {
      "127.0.0.1/*": "this-machine",
      ...Object.fromEntries(others.map((pool) => [`host-${pool}.example/*`, `pool-${pool}`])),
    },
  };
}
