/** Where the backends of a test file listen. */

/**
 * A loopback address that no other test file uses. A proxy of another file may still send requests or checks to a
 * backend that has gone; the system may have given its port to a backend of this file, which would count them. Only
 * Linux answers at all of 127.0.0.0/8.
 */
export const OWN_HOST = Deno.build.os === "linux" ? randomLoopback() : "127.0.0.1";

function randomLoopback(): string {
  const [second = 0, third = 0, fourth = 0] = crypto.getRandomValues(new Uint8Array(3));
  return `127.${1 + second % 254}.${third}.${1 + fourth % 254}`;
}
