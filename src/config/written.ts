/** A configuration in use, back in the words of the file. */
import * as z from "zod";
import { type Config, type ConfigFile, configSchema } from "./schema.ts";

/** The configuration as a file could say it, secrets included: every key present that means something beside the others. */
export function writtenConfig(config: Config): ConfigFile {
  // Encoding leaves what it is given as it is, so that it may be read-only.
  return z.encode(configSchema, config as z.output<typeof configSchema>);
}
