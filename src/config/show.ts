/** The configuration in force in the file's own words, without its secrets: what `GET /config` answers. */
import type { Config } from "./schema.ts";
import { withoutSecrets } from "./secrets.ts";
import { writtenConfig } from "./written.ts";

/**
 * The configuration as a file could say it: durations and sizes as text, backends as objects. Hidden are secret settings,
 * the values of headers (and of query parameters of `health.path`) whose names look like secrets, and credentials in the
 * URLs of header values. Without such secrets, `configSchema` reads it as `config`.
 */
export function showConfig(config: Config): unknown {
  return withoutSecrets(writtenConfig(config));
}
