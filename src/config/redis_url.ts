/** URLs of Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS. */

/** What a URL says. */
export interface RedisTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** `null`: the default user. */
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
}

/** What an error line wants in its place. */
export const REDIS_URL_WANTED = 'a URL such as "redis://HOST:6379" or "rediss://USER:PASSWORD@HOST:6379/0"';

const DEFAULT_PORT = 6379;

/** Reads a URL; `undefined` when it is none of Redis. */
export function parseRedisUrl(text: string): RedisTarget | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:")) return undefined;
  if (url.hostname === "" || url.search !== "" || url.hash !== "") return undefined;
  const [, database = ""] = /^\/(\d{0,5})$/.exec(url.pathname === "" ? "/" : url.pathname) ?? [, "99999"];
  if (Number(database) > 65_535) return undefined;
  try {
    return {
      host: decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? DEFAULT_PORT : Number(url.port),
      tls: url.protocol === "rediss:",
      username: url.username === "" ? null : decodeURIComponent(url.username),
      password: url.password === "" ? null : decodeURIComponent(url.password),
      database: Number(database),
    };
  } catch {
    return undefined; // a "%" that begins no escape
  }
}
