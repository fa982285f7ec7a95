/** Caddy. */
import { idleConnections, installed, type Site, type Subject, writeConfig } from "../subject.ts";

/** Caddy with one thread for Go code. */
export const caddy: Subject = {
  name: "caddy",
  title: "Caddy",
  ...installed("caddy", "caddy"),
  versionArgs: ["version"],
  async launch(site) {
    const { directory } = site;
    const file = await writeConfig(directory, "caddy.json", JSON.stringify(configuration(site)));
    const env = { GOMAXPROCS: "1", HOME: directory, XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory };
    return { command: site.program, args: ["run", "--config", file], env };
  },
};

function configuration({ port, backends, certificate, watchful }: Site) {
  const handler = {
    handler: "reverse_proxy",
    upstreams: backends.map((backend) => ({ dial: `127.0.0.1:${backend}` })),
    load_balancing: {
      selection_policy: { policy: "round_robin" },
      ...(watchful ? { retries: 2, try_interval: "10ms" } : {}),
    },
    ...(watchful
      ? {
        health_checks: {
          active: { uri: "/name", interval: "1s", timeout: "2s" },
          passive: { fail_duration: "10s", max_fails: 1 },
        },
      }
      : {}),
    transport: {
      protocol: "http",
      keep_alive: { max_idle_conns: 2 * idleConnections, max_idle_conns_per_host: idleConnections },
    },
  };
  const server = {
    listen: [`127.0.0.1:${port}`],
    automatic_https: { disable: true },
    routes: [{ handle: [handler] }],
    ...(certificate === undefined ? {} : { tls_connection_policies: [{ alpn: ["http/1.1"] }] }),
  };
  return {
    admin: { disabled: true, config: { persist: false } },
    logging: { logs: { default: { level: "ERROR" } } },
    apps: {
      http: { servers: { proxy: server } },
      ...(certificate === undefined ? {} : {
        tls: { certificates: { load_files: [{ certificate: certificate.cert, key: certificate.key }] } },
      }),
    },
  };
}
