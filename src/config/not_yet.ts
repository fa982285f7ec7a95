/** The settings whose feature does not exist yet. Delete a row when its feature lands. */
import { type BackendSetting, changedPaths, type Setting } from "./changed.ts";
import type { Config } from "./schema.ts";
import type { Problem } from "./setting_path.ts";

// One row a setting: refused unless it has its default.
const NOT_YET: readonly (Setting | BackendSetting)[] = [
  { path: "tls.insecure", readBackend: (backend) => backend.tls.insecure },
];

/** A problem for each setting that asks for something that does not exist yet. */
export function notYetSupported(config: Config): Problem[] {
  return NOT_YET.flatMap((setting) => changedPaths(config, setting))
    .map((path) => ({ path, text: "not supported yet" }));
}
