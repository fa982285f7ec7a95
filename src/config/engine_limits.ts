/** Settings that only one of the engines can honour. */
import { backendPort, isBlockedByFetch } from "./backend_url.ts";
import { type BackendSetting, changedPaths, type Setting } from "./changed.ts";
import type { Config } from "./schema.ts";
import type { Problem } from "./setting_path.ts";

type Engine = Config["engine"];

const ONLY_WIRE: readonly (Setting | BackendSetting)[] = [
  { path: "proxy.maxConnections", read: (config) => config.proxy.maxConnections },
  { path: "proxy.maxHeaderSize", read: (config) => config.proxy.maxHeaderBytes },
  { path: "proxy.proxyProtocol", read: (config) => config.proxy.proxyProtocol },
  { path: "tls.insecure", readBackend: (backend) => backend.tls.insecure },
  { path: "timeouts.idle", read: (config) => config.timeouts.idleMs },
  { path: "timeouts.header", read: (config) => config.timeouts.headerMs },
  { path: "timeouts.keepAlive", read: (config) => config.timeouts.keepAliveMs },
];

const ONLY_FETCH: readonly (Setting | BackendSetting)[] = [
  { path: "proxy.compression", read: (config) => config.proxy.compression },
];

/** A problem for each setting, and each backend, that the chosen engine can't serve; it names the engine that can. */
export function engineMismatches(config: Config): Problem[] {
  switch (config.engine) {
    case "fetch":
      return [...unsupported(config, ONLY_WIRE, "fetch", "wire"), ...blockedBackends(config)];
    case "wire":
      return unsupported(config, ONLY_FETCH, "wire", "fetch");
  }
}

function unsupported(config: Config, settings: readonly (Setting | BackendSetting)[], chosen: Engine, able: Engine) {
  return settings.flatMap((setting) => changedPaths(config, setting))
    .map((path) => ({ path, text: `not supported by engine "${chosen}", use engine "${able}"` }));
}

function blockedBackends(config: Config): Problem[] {
  return config.backends.flatMap(({ url }, index) => {
    const port = backendPort(url);
    if (!isBlockedByFetch(port)) return [];
    return [{ path: ["backends", index], text: `port ${port} is blocked by engine "fetch", use engine "wire"` }];
  });
}
