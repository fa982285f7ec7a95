/** `deno task schema`: writes what is read off the schema of the configuration, for editors and for readers. */
import { jsonSchema } from "../src/config/schema.ts";
import { withSettingsTables } from "./schema/settings_tables.ts";

const root = new URL("../", import.meta.url);
const page = new URL("docs/configuration.md", root);

await Deno.writeTextFile(new URL("config.schema.json", root), jsonSchema());
await Deno.writeTextFile(page, withSettingsTables(await Deno.readTextFile(page)));
