/** Settings that are bound to a listening socket or to an isolate: a change of one takes a restart. */
import { allSettings } from "./all_settings.ts";
import { distinct } from "./diagnostics.ts";
import { type Config, type ConfigFile, configSchema } from "./schema.ts";
import { valuesOf } from "./setting.ts";
import { formatPath, setAt } from "./setting_path.ts";
import { writtenConfig } from "./written.ts";

/**
 * The paths of the settings that take a restart and differ from the configuration that the process was started with.
 *
 * @param newCertificate whether `proxy.tls` asks for another certificate and the engine can't change it
 */
export function restartNeeded(started: Config, now: Config, newCertificate: boolean): string[] {
  const [before, after] = [topLevel(started), topLevel(now)];
  const differing = bound().filter((setting) => {
    const [was, is] = [valuesOf(setting, before)[0]?.value, valuesOf(setting, after)[0]?.value];
    if (setting.restart !== "presence") return JSON.stringify(was ?? null) !== JSON.stringify(is ?? null);
    return (was ?? null) === null !== ((is ?? null) === null) || newCertificate;
  });
  return distinct(differing.map(({ path }) => ({ path, text: "" }))).map(({ path }) => formatPath(path));
}

/** A configuration that an isolate can apply now: settings that take a restart have the values of the start. */
export function untilRestart(started: Config, now: Config): Config {
  const [before, after] = [topLevel(started), topLevel(now)];
  for (const setting of bound()) {
    if (setting.restart === "presence") continue;
    for (const { path, value } of valuesOf(setting, before)) setAt(after, path, value);
  }
  return { ...configSchema.parse(after), pools: now.pools, routes: now.routes };
}

function bound() {
  return allSettings().filter(({ restart }) => restart !== undefined);
}

/** In the words of the file, without pools and routes. There may be thousands, and none of them takes a restart. */
function topLevel(config: Config): ConfigFile {
  return writtenConfig({ ...config, pools: {}, routes: null });
}
