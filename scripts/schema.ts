/** `deno task schema`: writes what is read off the schema of the configuration, and the feet of the pages. */
import { jsonSchema } from "../src/config/schema.ts";
import { readingOrder, withFoot } from "./schema/reading_order.ts";
import { withSettingsTables } from "./schema/settings_tables.ts";

const root = new URL("../", import.meta.url);
const settings = "docs/configuration.md";

await Deno.writeTextFile(new URL("config.schema.json", root), jsonSchema());
const order = readingOrder(await Deno.readTextFile(new URL("README.md", root)));
for (const { path } of order) {
  const file = new URL(path, root);
  const page = await Deno.readTextFile(file);
  await Deno.writeTextFile(file, withFoot(path === settings ? withSettingsTables(page) : page, path, order));
}
