/** `backends`: what the configuration file and the admin API may say of one backend. */
import * as z from "zod";
import { MAX_BACKENDS } from "../backend_limit.ts";
import { backendUrl, type DeepReadonly, filePath, flag, host, maxConnections, weight } from "../fields.ts";
import { bareSetting, section, setting } from "../setting.ts";

/** What a request to the admin API may say of a backend, each field without a default: for POST and PATCH bodies. */
export const backendFields = { url: backendUrl, weight, maxConnections, backup: flag } as const;

const PAIR_WANTED = `"cert" and "key" together`;

const backendTls = z.strictObject({
  ca: setting(
    filePath.nullable(),
    null,
    "A file with certificates of authorities in PEM that are trusted for this backend. `null` for the built-in ones.",
    {
      more: "They are trusted **beside** Mozilla's authorities, which are built into the runtime. The authorities of " +
        "the operating system are not trusted.",
    },
  ),
  insecure: setting(flag, false, "Whether any certificate of this backend is accepted.", {
    engine: "wire",
    more: "The log warns of it. Whoever gets in between reads and changes everything.",
  }),
  serverName: setting(
    host.nullable(),
    null,
    "The name that the backend's certificate must have, and that is asked for (SNI). `null`: the host of the URL.",
    {
      engine: "wire",
      more: "For a backend that is named by its address. Health checks over TLS send it as their `Host`, unless " +
        "`health.headers` sets one. The `Host` of requests is the client's.",
    },
  ),
  cert: setting(
    filePath.nullable(),
    null,
    "A file with the certificate in PEM that is shown to this backend if it asks for one. `null` for none.",
    { more: "Needs `key` beside it. The certificates that lead to its authority follow in the same file." },
  ),
  key: setting(
    filePath.nullable(),
    null,
    "The file with the private key of `cert` in PEM, without a passphrase.",
  ),
}).refine(({ cert, key }) => (cert === null) === (key === null), PAIR_WANTED);

/** A backend as an object of the file; the admin API's POST body is this without `tls`. */
export const backendSpecSchema = z.strictObject({
  url: bareSetting(
    backendFields.url,
    "An `http://` or `https://` origin with an optional base path, which is put before the request's path.",
    { more: "It has no credentials, no query and no fragment." },
  ),
  weight: setting(weight, 1, "The backend's share of the traffic. 0: no new traffic, except sticky."),
  maxConnections: setting(maxConnections, null, "The most requests at a time. `null` for no limit.", {
    more: "More requests wait in the [queue](#retries-and-queue).",
  }),
  backup: setting(flag, false, "Whether it takes traffic only when no other backend can."),
  tls: section(backendTls, "How TLS to this backend is checked."),
});

/** A backend in the file: a URL alone or an object. Both read as the same complete object. */
const backend = z.codec(
  z.union([backendUrl, backendSpecSchema], `a URL, or an object with "url"`),
  z.custom<z.output<typeof backendSpecSchema>>(),
  {
    decode: (written) => typeof written === "string" ? backendSpecSchema.parse({ url: written }) : written,
    encode: (spec) => spec,
  },
);

/** A list of backends, of the top level or of a pool. */
export const backendList = z.array(backend).max(MAX_BACKENDS, `at most ${MAX_BACKENDS} backends`);

export const backends = setting(
  backendList,
  [],
  "The servers that requests are forwarded to, at most 4,096. Each is a URL, or an object with the keys of a backend.",
);

/** How TLS is checked where nothing is said. */
export const PLAIN_TLS: BackendSpec["tls"] = backendSpecSchema.parse({ url: "http://127.0.0.1" }).tls;

/** One backend as configured. `url` is normalised; `weight` is 0 to 256; `maxConnections: null` means no limit. */
export type BackendSpec = DeepReadonly<z.output<typeof backendSpecSchema>>;
