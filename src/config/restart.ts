/** Settings that are bound to a listening socket or to an isolate: a change of one takes a restart. */
import { distinct } from "./diagnostics.ts";
import { type Config, configSchema } from "./schema.ts";
import { settingsOf, valuesOf } from "./setting.ts";
import { formatPath, setAt } from "./setting_path.ts";
import { writtenConfig } from "./written.ts";

const SETTINGS = settingsOf(configSchema).filter(({ restart }) => restart !== undefined);

/**
 * The settings in which a configuration differs from the one that the process was started with and that take a restart,
 * by path.
 *
 * @param newCertificate whether `proxy.tls` asks for another certificate that the engine can't change to
 */
export function restartNeeded(started: Config, now: Config, newCertificate: boolean): string[] {
  const [before, after] = [writtenConfig(started), writtenConfig(now)];
  const differing = SETTINGS.filter((setting) => {
    const [was, is] = [valuesOf(setting, before)[0]?.value, valuesOf(setting, after)[0]?.value];
    if (setting.restart !== "presence") return JSON.stringify(was ?? null) !== JSON.stringify(is ?? null);
    return (was ?? null) === null !== ((is ?? null) === null) || newCertificate;
  });
  return distinct(differing.map(({ path }) => ({ path, text: "" }))).map(({ path }) => formatPath(path));
}

/** A configuration with what takes a restart as it was when the process started: what an isolate can go by now. */
export function untilRestart(started: Config, now: Config): Config {
  const [before, after] = [writtenConfig(started), writtenConfig(now)];
  for (const setting of SETTINGS) {
    if (setting.restart === "presence") continue;
    for (const { path, value } of valuesOf(setting, before)) setAt(after, path, value);
  }
  return configSchema.parse(after);
}
