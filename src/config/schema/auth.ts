/** `auth`: clients prove who they are, by a password or to a server that is asked for each request. */
import * as z from "zod";
import { looseName, LooseNames } from "../../http1/loose_name.ts";
import { type DeepReadonly, duration, flag, probePath, text, token } from "../fields.ts";
import { HASH_WANTED, parsePasswordHash } from "../password_hash.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";

/** The hash of a password, within the bounds of what one may cost. */
const passwordHash = z.string(HASH_WANTED).superRefine((text, context) => {
  const hash = parsePasswordHash(text);
  if (hash.kind === "none") context.addIssue({ code: "custom", message: hash.want, input: text });
});

const basicKeys = () =>
  z.strictObject({
    users: bareSetting(
      z.record(
        text(/^[ -9;-~\xa0-\uffff]{1,128}$/, "a name of 1 to 128 characters, without colons and control characters"),
        passwordHash,
      ),
      "The users by name, each with the hash of a password.",
      { secret: "whole" },
    ),
    realm: setting(
      text(/^[ !#-[\]-~]{1,256}$/, "1 to 256 ASCII characters without quotes and backslashes"),
      "roundhouse",
      "What clients are told that the password is for.",
    ),
  });

const URL_WANTED = "an http:// or https:// URL without credentials or fragment";

const authUrl = text(/^https?:\/\/[^\s#\\]+$/, URL_WANTED).refine((text) => {
  const url = URL.parse(text);
  return url !== null && url.username === "" && url.password === "" && url.port !== "0";
}, URL_WANTED);

const pooled = () =>
  z.strictObject({
    pool: bareSetting(z.string("the name of a pool"), "The pool that is asked."),
    path: bareSetting(probePath, "The path that it is asked for, with an optional query. It follows the base path.", {
      secret: "in-query",
    }),
  });

/** Headers of a connection, of a body, and those that roundhouse itself sets. */
const NEVER_COPIED = new LooseNames([
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer"],
  ...["transfer-encoding", "upgrade", "expect", "host", "set-cookie", "x-request-id", "traceparent", "tracestate"],
]);
const NEVER_COPIED_BEGINNINGS = ["content-", "sec-websocket-", "x-forwarded-"];

const COPIED_WANTED = "the name of a header that is not about the connection or the body, and not Host, Set-Cookie, " +
  "X-Forwarded-*, X-Request-Id, traceparent or tracestate";

const copiedName = token.refine((name) => {
  const loose = looseName(name);
  return !NEVER_COPIED.has(name) && !NEVER_COPIED_BEGINNINGS.some((beginning) => loose.startsWith(beginning));
}, COPIED_WANTED);

const forwardKeys = () =>
  inUnits(z.strictObject({
    forward: bareSetting(
      z.union([authUrl, pooled()], `${URL_WANTED}, or an object with "pool" and "path"`),
      "Who is asked: a URL, or an object with a `pool` and the `path` at its backends.",
      { secret: "in-query" },
    ),
    copy: setting(
      z.array(copiedName, "a list of header names"),
      [],
      "Headers of its answer that go on with the request. What clients send by these names never does.",
    ),
    timeout: setting(duration(1), "1s", "The longest time for one question. After it, the client gets 503."),
    preflight: setting(flag, false, "Whether preflight requests (`OPTIONS` of CORS) pass without a question."),
  }));

type BasicAuth = z.output<ReturnType<typeof basicKeys>> & { readonly kind: "basic" };
type ForwardAuth = z.output<ReturnType<typeof forwardKeys>> & { readonly kind: "forward" };

/** Users and the hashes of their passwords. */
export type BasicAuthConfig = DeepReadonly<BasicAuth>;
/** A server that is asked. */
export type ForwardAuthConfig = DeepReadonly<ForwardAuth>;
export type AuthConfig = BasicAuthConfig | ForwardAuthConfig;

const basicForm = () =>
  z.codec(
    z.strictObject({
      basic: bareSetting(basicKeys(), "User names and passwords, as browsers ask for them."),
    }),
    z.custom<BasicAuth>((value) => (value as AuthConfig).kind === "basic"),
    {
      decode: ({ basic }): BasicAuth => ({ kind: "basic", ...basic }),
      encode: ({ kind: _, ...basic }) => ({ basic }),
    },
  );

const forwardForm = () =>
  z.codec(forwardKeys(), z.custom<ForwardAuth>((value) => (value as AuthConfig).kind === "forward"), {
    decode: (keys): ForwardAuth => ({ kind: "forward", ...keys }),
    encode: ({ kind: _, ...keys }) => keys,
  });

export const auth = setting(
  later(() => z.union([basicForm(), forwardForm()], 'an object with "basic" or "forward", or null')).nullable(),
  null,
  "Who proves to be allowed, and how: an object with `basic` or `forward`. Others get 401, or what the server says. " +
    "`null`: nobody has to.",
);
