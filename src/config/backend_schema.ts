/** What the configuration file and the admin API may say of one backend. */
import * as z from "zod";
import { backendUrl, type DeepReadonly, filePath, flag, MAX_COUNT, maxConnections, weight } from "./fields.ts";
import { bareSetting, section, setting } from "./setting.ts";

/** What a request to the admin API may say of a backend, each field without a default: for POST and PATCH bodies. */
export const backendFields = { url: backendUrl, weight, maxConnections, backup: flag } as const;

const backendTls = z.strictObject({
  ca: setting(
    filePath.nullable(),
    null,
    "File with authorities (PEM) to trust beside Mozilla's, which are built in; null for those alone.",
  ),
  insecure: setting(flag, false, "Whether the backend's certificate goes unchecked.", { engine: "wire" }),
});

/** A backend as an object of the file; the admin API's POST body is this without `tls`. */
export const backendSpecSchema = z.strictObject({
  url: bareSetting(
    backendFields.url,
    "http:// or https:// origin with an optional base path that is put before the request's path.",
  ),
  weight: setting(weight, 1, "Share of the traffic, a whole number from 0 to 256; 0: no new traffic, except sticky."),
  maxConnections: setting(
    maxConnections,
    null,
    `Most requests at a time, 1 to ${MAX_COUNT}; null for no limit.`,
  ),
  backup: setting(flag, false, "Whether it takes traffic only when no other backend can."),
  tls: section(backendTls, "How TLS to this backend is checked."),
});

/** A backend in the file: a URL alone or an object. Both read as the same complete object. */
export const backend = z.codec(
  z.union([backendUrl, backendSpecSchema], `a URL, or an object with "url"`),
  z.custom<z.output<typeof backendSpecSchema>>(),
  {
    decode: (written) => typeof written === "string" ? backendSpecSchema.parse({ url: written }) : written,
    encode: (spec) => spec,
  },
);

/** One backend as configured. `url` is normalised; `weight` is 0 to 256; `maxConnections: null` means no limit. */
export type BackendSpec = DeepReadonly<z.output<typeof backendSpecSchema>>;
