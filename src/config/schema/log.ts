/** `log`: what is logged. */
import * as z from "zod";
import { flag } from "../fields.ts";
import { setting } from "../setting.ts";

export const log = z.strictObject({
  level: setting(z.enum(["debug", "info", "warn", "error"]), "info", "The least level that is logged.", {
    more: "Checks log at `debug`.",
  }),
  format: setting(z.enum(["text", "json"]), "text", "The form of a log line."),
  access: setting(
    z.union([flag, z.literal("combined")], 'true, false or "combined"'),
    false,
    'Whether each request is logged when it ends. `"combined"`: in the Combined Log Format.',
    { more: "The level is `info`." },
  ),
});
