/** Hides secret settings, which the schema names, in error lines and in `GET /config`. */
import { allSettings } from "./all_settings.ts";
import { HIDDEN, SECRET_NAME, withoutSecretParameters } from "./secret_parameters.ts";
import { covers, type Setting } from "./setting.ts";
import type { Path } from "./setting_path.ts";

/** Whether error lines hide the value at a path. */
export function isSecret(path: Path): boolean {
  return isHidden(path) || secretSettingAt(path)?.secret === "in-url";
}

function isHidden(path: Path): boolean {
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
  if (isHidden(path)) return HIDDEN;
  switch (secretSettingAt(path)?.secret) {
    case "by-name":
    case "in-url":
      return withHiddenCredentials(value);
    case "in-query":
      return withoutSecretParameters(value);
    default:
      return value;
  }
}

/** A text with the users and passwords of all URLs in it hidden. */
function withHiddenCredentials(text: string): string {
  return text.replace(/\/\/[^\s/?#]*@/g, `//${HIDDEN}@`);
}

let secretSettings: readonly Setting[] | undefined;

function secretSettingAt(path: Path): Setting | undefined {
  secretSettings ??= allSettings().filter(({ secret }) => secret !== undefined);
  return secretSettings.find((setting) => covers(setting, path));
}
