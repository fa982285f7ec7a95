/** Every setting of the file. */
import { configSchema } from "./schema.ts";
import { type Setting, settingsOf } from "./setting.ts";

let found: readonly Setting[] | undefined;

/** In the order of the schema. They are looked for once, when somebody asks. */
export function allSettings(): readonly Setting[] {
  return found ??= settingsOf(configSchema);
}
