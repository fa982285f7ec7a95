/** `strategy` and `sticky`: who gets a request. */
import * as z from "zod";
import { cookieDomain, cookieName, cookiePath, duration, flag, strategy as strategyName } from "../fields.ts";
import { inUnits, setting } from "../setting.ts";

export const strategy = setting(strategyName, "round-robin", "How a backend is chosen.", {
  more: "`header-hash:NAME` takes the name of a header.",
});

/** What clients that stick by cookie are given. */
interface StickyCookie {
  readonly cookie: string;
  readonly sameSite: "lax" | "strict" | "none";
  /** `null`: where the client's connection is encrypted. */
  readonly secure: boolean | null;
  /** `null`: the host that the client asked. */
  readonly domain: string | null;
  readonly path: string;
}

/** How clients stick to a backend. */
export type Sticky =
  | ({ readonly by: "cookie"; readonly timeoutMs: number } & StickyCookie)
  | { readonly by: "ip"; readonly timeoutMs: number };

/** The cookie of sessions where nothing else is said. */
const DEFAULT_COOKIE: StickyCookie = {
  cookie: "roundhouse",
  sameSite: "lax",
  secure: null,
  domain: null,
  path: "/",
};

/** Cookies may live longer than a timer can run; browsers keep them for 400 days at most. */
const MAX_STICKY_MS = 400 * 86_400_000;

export const stickyKeys = inUnits(z.strictObject({
  by: setting(z.enum(["cookie", "ip"]), "cookie", "What a client is recognised by."),
  cookie: setting(cookieName, DEFAULT_COOKIE.cookie, "The name of the cookie."),
  timeout: setting(duration(1000, MAX_STICKY_MS), "30m", "How long a client keeps its backend.", {
    more: "A cookie is renewed at half its life.",
  }),
  sameSite: setting(
    z.enum(["lax", "strict", "none"]),
    DEFAULT_COOKIE.sameSite,
    'Which requests that begin at other sites carry the cookie. `"none"` needs a `Secure` cookie.',
  ),
  secure: setting(
    flag.nullable(),
    DEFAULT_COOKIE.secure,
    "Whether the cookie is `Secure`. `null`: only where the client's connection is encrypted.",
    { more: "That is so here, or at a proxy of `proxy.trustForwarded` that says so." },
  ),
  domain: setting(
    cookieDomain.nullable(),
    DEFAULT_COOKIE.domain,
    "The domain that the cookie is for, with its subdomains. `null`: only the host that the client asked.",
  ),
  path: setting(cookiePath, DEFAULT_COOKIE.path, "The path that the cookie is for. It begins with `/`."),
}));

const stickyKind = z.codec(stickyKeys, z.custom<Sticky>(), {
  decode: toSticky,
  encode: (sticky) => ({ ...DEFAULT_COOKIE, ...sticky }),
});

/** Drops what a cookie is like where clients stick by address, because it means nothing there. */
export function toSticky({ by, timeoutMs, ...cookie }: z.output<typeof stickyKeys>): Sticky {
  return by === "cookie" ? { by, ...cookie, timeoutMs } : { by, timeoutMs };
}

export const sticky = setting(
  stickyKind.nullable(),
  null,
  "Sends a client to the backend that it had before. `null`: it does not.",
);
