/** Names that DNS can be asked for, addresses, and where a DNS server is. */
import ipaddr from "ipaddr.js";
import * as z from "zod";

const LABELS = /^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/;

/** Whether DNS can be asked for a name without a dot at its end. */
export function isHostName(name: string): boolean {
  return name.length <= 253 && LABELS.test(name);
}

/** Whether a text is an address that can be connected to. A short form such as `127.1` is none. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

const NAME_WANTED = "a host name";

/** A name, in lower case. A dot at its end means that no search domain is tried. */
export const hostName = z.codec(
  z.string(NAME_WANTED),
  z.string().refine((name) => isHostName(name.replace(/\.$/, "")), NAME_WANTED),
  { decode: (name) => name.toLowerCase(), encode: (name) => name },
);

const HOST_WANTED = "a host name or an IP address, without a port";

/** The same, or an address. Brackets around IPv6 are dropped. */
export const nameOrAddress = z.codec(
  z.string(HOST_WANTED),
  z.string().refine((name) => isHostName(name.replace(/\.$/, "")) || isAddress(name), HOST_WANTED),
  { decode: (name) => name.replace(/^\[(.*)\]$/, "$1").toLowerCase(), encode: (name) => name },
);

const SERVER_WANTED = `an IP address and a port, such as "10.0.0.2:53"`;

/** Where a DNS server is, with its address in brackets if it is one of IPv6. */
export const dnsServer = z.string(SERVER_WANTED).refine((text) => {
  const { hostname, port } = splitHostPort(text) ?? {};
  return hostname !== undefined && isAddress(hostname) && port !== undefined && port >= 1 && port <= 65535;
}, SERVER_WANTED);

/** The two parts of `HOST:PORT` or `[ADDRESS]:PORT`; `undefined`: it has other parts. */
export function splitHostPort(text: string): { readonly hostname: string; readonly port: number } | undefined {
  const [, inBrackets, plain = "", digits = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  return digits === "" ? undefined : { hostname: inBrackets ?? plain, port: Number(digits) };
}
