/** A configuration in use, in the words of the file. */
import * as z from "zod";
import { type Config, type ConfigFile, configSchema } from "./schema.ts";

/** The configuration as a file could say it, with secrets and with every key that has a meaning. */
export function writtenConfig(config: Config): ConfigFile {
  // Encoding does not change its input, so the input may be read-only.
  return z.encode(configSchema, config as z.output<typeof configSchema>);
}
