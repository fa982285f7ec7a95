/** Finds out which settings differ from their defaults, for the tables of settings that not everything supports. */
import { type BackendSpec, backendSpecSchema, type Config, configSchema } from "./schema.ts";
import type { Path } from "./setting_path.ts";

/** A setting by its place in the file, such as `timeouts.idle`, and how to read it. */
export interface Setting {
  readonly path: string;
  readonly read: (config: Config) => unknown;
}

/** A setting of each backend: `tls.insecure` stands for `backends[].tls.insecure`. */
export interface BackendSetting {
  readonly path: string;
  readonly readBackend: (backend: BackendSpec) => unknown;
}

/** The paths at which `setting` is something other than its default: none, one, or one for each such backend. */
export function changedPaths(config: Config, setting: Setting | BackendSetting): Path[] {
  const keys = setting.path.split(".");
  if ("read" in setting) return sameValue(setting.read(config), setting.read(DEFAULTS)) ? [] : [keys];
  const paths: Path[] = [];
  for (const [index, backend] of config.backends.entries()) {
    if (!sameValue(setting.readBackend(backend), setting.readBackend(BACKEND_DEFAULTS))) {
      paths.push(["backends", index, ...keys]);
    }
  }
  return paths;
}

const DEFAULTS: Config = configSchema.parse({});
const BACKEND_DEFAULTS: BackendSpec = backendSpecSchema.parse({ url: "http://127.0.0.1" });

/** Settings are plain values whose keys always come in the schema's order, so their text tells. */
function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
