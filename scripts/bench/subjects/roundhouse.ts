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

function configuration(engine: string, workers: number, { port, backends, certificate, watchful }: Site) {
  return {
    proxy: {
      host: "127.0.0.1",
      port,
      workers,
      ...(certificate === undefined ? {} : { tls: { cert: certificate.cert, key: certificate.key } }),
    },
    admin: { host: "127.0.0.1", port: 0 },
    backends: backends.map((backend) => `http://127.0.0.1:${backend}`),
    engine,
    health: watchful ? { path: "/name", interval: "1s" } : { type: "none" },
    log: { level: "error" },
  };
}
