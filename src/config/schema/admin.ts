/** `admin`: the server that shows and changes the pool. */
import * as z from "zod";
import { flag, host, listenPort, text } from "../fields.ts";
import { setting } from "../setting.ts";

export const admin = z.strictObject({
  host: setting(host, "127.0.0.1", "The host name or IP address that the admin server listens on.", { restart: true }),
  port: setting(listenPort, 8081, "The port that the admin server listens on. 0 takes any free port.", {
    restart: true,
  }),
  token: setting(
    text(/^[!-~]+$/, "visible ASCII characters without spaces, or null").nullable(),
    null,
    "The bearer token that every request to the admin API needs. Required unless `admin.host` is a loopback address.",
    { secret: "whole", more: "It consists of visible ASCII characters without spaces." },
  ),
  persist: setting(flag, false, "Whether changes made through the admin API are written to this file.", {
    more: "See [keeping changes](#keeping-changes).",
  }),
});
