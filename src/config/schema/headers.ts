/** `headers`: headers set and removed on the way. */
import * as z from "zod";
import { headerMap, headerName } from "../fields.ts";
import { section, setting } from "../setting.ts";

export const headers = z.strictObject({
  request: section(
    z.strictObject({
      set: setting(headerMap, {}, "The headers that backends get, by name. Others of the same name are replaced.", {
        secret: "by-name",
        more: "This includes names that differ only in `_` for `-`.",
      }),
      remove: setting(z.array(headerName), [], "The names of headers that backends do not get.", {
        more: "This includes names that differ only in `_` for `-`.",
      }),
    }),
    "Changes to what backends get.",
  ),
  response: section(
    z.strictObject({
      set: setting(headerMap, {}, "The headers that clients get, by name. Others of the same name are replaced.", {
        secret: "by-name",
      }),
      remove: setting(z.array(headerName), [], "The names of headers that clients do not get."),
    }),
    "Changes to what clients get.",
  ),
});
