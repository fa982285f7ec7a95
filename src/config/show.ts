/** The configuration in force in the words of the file, without its secrets, for `GET /config`. */
import type { Config } from "./schema.ts";
import { withoutSecrets } from "./secrets.ts";
import { writtenConfig } from "./written.ts";

/**
 * The configuration as a file could say it: durations and sizes as text, backends as objects. It hides secret settings,
 * the values of headers and query parameters whose names look like those of secrets, and credentials in URLs of header
 * values. If there are no such secrets, `configSchema` reads it as `config`.
 */
export function showConfig(config: Config): unknown {
  return withoutSecrets(writtenConfig(config));
}
