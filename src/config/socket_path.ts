/** Unix sockets as settings name them: `unix:/run/app.sock`. */

const PREFIX = "unix:";

/** What an address in the kernel has room for: 108 bytes, with a zero at the end. */
const MOST_BYTES = 107;

/** What the name of a socket must be, for error messages. */
export const SOCKET_WANTED = `unix:/PATH of a socket (absolute, at most ${MOST_BYTES} bytes, without colons)`;

/**
 * Text that can be such a name. A colon is refused because other programs write `unix:/run/app.sock:/base`, which would
 * be a file that never exists.
 */
export const SOCKET_PATTERN = /^unix:\/[^\s\\?#:]+$/;

/**
 * The one spelling of a socket's name: single slashes. `undefined`: the text is not the name of a socket. `.` and `..`
 * are refused, because what they lead to depends on links.
 */
export function normaliseSocket(text: string): string | undefined {
  if (!SOCKET_PATTERN.test(text) || /\p{Cc}/u.test(text)) return undefined;
  const path = text.slice(PREFIX.length).replace(/\/{2,}/g, "/");
  if (path.endsWith("/") || path.split("/").some((part) => part === "." || part === "..")) return undefined;
  return new TextEncoder().encode(path).length > MOST_BYTES ? undefined : PREFIX + path;
}

/** Whether a host or a backend's URL is the name of a socket. */
export function isSocket(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The path of a socket; `undefined`: the name is not one of a socket. */
export function socketPath(name: string): string | undefined {
  return isSocket(name) ? name.slice(PREFIX.length) : undefined;
}
