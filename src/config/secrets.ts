/** Hides secret settings, which the schema names, in error lines and in `GET /config`. */
import { configSchema } from "./schema.ts";
import { covers, settingsOf } from "./setting.ts";
import type { Path } from "./setting_path.ts";

/** Stands in place of a secret. */
export const HIDDEN = "***";

const SETTINGS = settingsOf(configSchema).filter(({ secret }) => secret !== undefined);
const SECRET_NAME = /auth|cookie|token|secret|passw|credential|signature|session|key/i;

/** Whether error lines hide the value at a path. */
export function isSecret(path: Path): boolean {
  const setting = secretSettingAt(path);
  if (setting?.secret !== "by-name") return setting?.secret === "whole";
  // A value in place of the map itself may be a whole header line.
  return path.length === setting.path.length || SECRET_NAME.test(String(path.at(setting.path.length)));
}

/** A copy of a configuration in the file's words, with its secrets hidden. */
export function withoutSecrets(value: unknown, path: Path = []): unknown {
  if (Array.isArray(value)) return value.map((item, index) => withoutSecrets(item, [...path, index]));
  if (typeof value === "object" && value !== null) {
    const present = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return Object.fromEntries(present.map(([key, inner]) => [key, withoutSecrets(inner, [...path, key])]));
  }
  if (typeof value !== "string") return value;
  if (isSecret(path)) return HIDDEN;
  switch (secretSettingAt(path)?.secret) {
    case "by-name":
      return value.replace(/\/\/[^\s/?#]*@/g, `//${HIDDEN}@`);
    case "in-query":
      return withoutSecretParameters(value);
    default:
      return value;
  }
}

function secretSettingAt(path: Path) {
  return SETTINGS.find((setting) => covers(setting, path));
}

function withoutSecretParameters(target: string): string {
  const start = target.indexOf("?") + 1;
  if (start === 0) return target;
  const query = target.slice(start).replace(/([^&=]+)=[^&]*/g, (parameter, name) => {
    return SECRET_NAME.test(name) ? `${name}=${HIDDEN}` : parameter;
  });
  return target.slice(0, start) + query;
}
