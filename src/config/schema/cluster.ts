/** `cluster`: several roundhouses that act as one. */
import * as z from "zod";
import { redisUrl, text } from "../fields.ts";
import { bareSetting, later, setting } from "../setting.ts";

const keys = later(() =>
  z.strictObject({
    redis: bareSetting(redisUrl, "The Redis or Valkey that the replicas share.", {
      secret: "in-url",
      more: "`redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. Without a port: 6379.",
    }),
    prefix: setting(
      text(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 letters, digits, dots, dashes and underscores"),
      "roundhouse",
      "What the names of its keys begin with. Replicas that act as one have the same.",
    ),
    secret: setting(
      text(/^[\x20-\x7e]{16,256}$/, "16 to 256 visible ASCII characters, or null").nullable(),
      null,
      "What private keys are encrypted with before they are shared. Replicas that act as one have the same.",
      { secret: "whole", more: "Needed with `proxy.tls.acme`. `openssl rand -base64 32` makes one." },
    ),
  })
);

export const cluster = setting(
  keys.nullable(),
  null,
  "Several roundhouses that act as one: an object with `redis`. `null`: this one is alone.",
  { restart: true },
);
