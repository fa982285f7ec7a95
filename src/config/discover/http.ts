/** `discover` from a server: `http://…` or `https://…`. */
import * as z from "zod";
import { duration, text } from "../fields.ts";
import { withoutSecretParameters } from "../secret_parameters.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { commonKeys, type DiscoverCommon, type DiscoverKind } from "./kind.ts";

/** A URL that answers with a list of backends. */
export interface HttpDiscover extends DiscoverCommon {
  readonly kind: "http";
  readonly url: string;
  readonly refreshMs: number;
}

const URL_WANTED = "an http:// or https:// URL without credentials or fragment";

const keys = () =>
  inUnits(z.strictObject({
    http: bareSetting(
      text(/^https?:\/\/[^\s#\\]+$/, URL_WANTED).refine(isListUrl, URL_WANTED),
      "A URL that answers with a JSON list of backends.",
      { secret: "in-query" },
    ),
    refresh: setting(duration(100), "10s", "The time from one answer to the next question."),
    ...commonKeys(),
  }));

const form = later(() =>
  z.codec(keys(), z.custom<HttpDiscover>((value) => (value as HttpDiscover).kind === "http"), {
    decode: ({ http, ...rest }): HttpDiscover => ({ kind: "http", url: http, ...rest }),
    encode: ({ kind: _, url, ...rest }) => ({ http: url, ...rest }),
  })
);

export const http: DiscoverKind<typeof form> = {
  name: "http",
  words: "http://HOST/PATH",
  prefixes: ["http", "https"],
  form,
  fromText: (_rest, text) => ({ http: text }),
  describe: ({ url }) => withoutSecretParameters(url),
};

function isListUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.username === "" && url.password === "";
}
