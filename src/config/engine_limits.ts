/** Settings that work with only one engine, and backends that only one engine can reach. */
import { backendPort, isBlockedByFetch } from "./backend_url.ts";
import { isAddress } from "./discover/host_name.ts";
import { type Config, configSchema } from "./schema.ts";
import { poolPath, poolsOf } from "./pool_settings.ts";
import { settingsRead, valuesOf } from "./setting.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { writtenConfig } from "./written.ts";

/** A diagnostic for each setting and each backend that the chosen engine can't serve. It names the engine that can. */
export function engineMismatches(config: Config): Diagnostic[] {
  const written = writtenConfig(config);
  const unsupported = settingsRead(configSchema).filter(({ engine = config.engine }) => engine !== config.engine)
    .flatMap((
      setting,
    ) =>
      valuesOf(setting, written)
        // Settings are plain values with their keys in the order of the schema, so comparing their text is enough.
        .filter(({ value }) => JSON.stringify(value) !== JSON.stringify(setting.fallback))
        .map(({ path }) => ({
          path,
          text: `not supported by engine "${config.engine}", use engine "${setting.engine}"`,
        }))
    );
  if (config.engine !== "fetch") return unsupported;
  return [...unsupported, ...severalCertificates(config), ...blockedBackends(config), ...namedByDns(config)];
}

/** The runtime's server has one certificate. */
function severalCertificates({ proxy: { tls } }: Config): Diagnostic[] {
  const count = tls?.files.length ?? 0;
  if (count < 2) return [];
  const text = `${count} certificates are not supported by engine "fetch", use engine "wire"`;
  return [{ path: ["proxy", "tls", "certificates"], text }];
}

/** Only `wire` can ask an address for the certificate of a name. */
function namedByDns(config: Config): Diagnostic[] {
  return Array.from(poolsOf(config)).flatMap(([name, { discover }]) => {
    if (discover === null || discover.kind !== "dns" && discover.kind !== "srv") return [];
    const isNamed = discover.scheme === "https" && !(discover.kind === "dns" && isAddress(discover.host));
    const text = `"https" by name is not supported by engine "fetch", use engine "wire"`;
    return isNamed ? [{ path: [...poolPath(name), "discover", "scheme"], text }] : [];
  });
}

function blockedBackends(config: Config): Diagnostic[] {
  return Array.from(poolsOf(config)).flatMap(([name, { backends }]) =>
    backends.flatMap(({ url }, index) => {
      const port = backendPort(url);
      if (!isBlockedByFetch(port)) return [];
      const text = `port ${port} is blocked by engine "fetch", use engine "wire"`;
      return [{ path: [...poolPath(name), "backends", index], text }];
    })
  );
}
