/** `proxy`: the server that forwards requests, and how clients reach it over HTTPS. */
import * as z from "zod";
import {
  fileMode,
  filePath,
  flag,
  host,
  listenHost,
  listenPort,
  MAX_COUNT,
  size,
  sizeLimit,
  trustedPeer,
  whole,
  workers,
} from "../fields.ts";
import { bareSetting, inUnits, later, setting } from "../setting.ts";
import { acme } from "./acme.ts";

/** The files of one certificate, and where they are named: in `proxy.tls` itself or in an entry of its `certificates`. */
interface CertificateFiles {
  readonly place: readonly (string | number)[];
  readonly cert: string;
  readonly key: string;
}

/** Certificates that an authority makes. */
interface AcmeConfig {
  readonly names: string[];
  readonly email: string | null;
  readonly directory: string;
  readonly ca: string | null;
  readonly eab: { readonly kid: string; readonly hmacKey: string } | null;
}

/** How HTTPS is spoken to clients. */
interface ProxyTls {
  /** In order: the first one is for clients that name no host, or an unknown one. */
  readonly files: readonly CertificateFiles[];
  readonly acme: AcmeConfig | null;
  readonly selfSigned: string[] | null;
  readonly clientCertificates: z.output<typeof clientCertificates> | null;
  readonly redirectFrom: number | null;
}

const clientCertificates = later(() =>
  z.strictObject({
    ca: bareSetting(
      filePath,
      "The file with the certificates of the authorities in PEM that sign clients' certificates.",
      {
        more: "No other authority is trusted for them.",
      },
    ),
    require: setting(
      flag,
      true,
      "Whether the handshake fails without a valid certificate. If not, requests of such clients have no `Client-Cert`.",
    ),
  })
);

const proxyTlsKeys = later(() =>
  z.strictObject({
    cert: bareSetting(filePath.optional(), "The file with the certificate in PEM. Needs `key` beside it.", {
      more: "The certificates that lead to its authority follow in the same file.",
    }),
    key: bareSetting(filePath.optional(), "The file with the private key in PEM, without a passphrase."),
    certificates: bareSetting(
      z.array(z.strictObject({
        cert: bareSetting(filePath, "The file with this certificate in PEM."),
        key: bareSetting(filePath, "The file with its private key."),
      })).min(1, "at least one certificate").optional(),
      "Several certificates, in place of `cert` and `key`. Each client gets the one for the name that it asks for (SNI).",
      {
        more: "The first one is for clients that name no host, or an unknown one. " +
          "More than one needs engine `wire`.",
      },
    ),
    acme: setting(
      acme.nullable(),
      null,
      "Names for which an ACME authority makes certificates, beside those in files. `null`: none.",
      { engine: "wire", more: "Needs `redirectFrom`. See [certificates by ACME](tls.md#certificates-by-acme)." },
    ),
    selfSigned: bareSetting(
      z.array(host).min(1, "at least one name").optional(),
      "Host names and IP addresses. roundhouse makes a certificate for them, instead of reading files.",
    ),
    clientCertificates: setting(
      clientCertificates.nullable(),
      null,
      "Clients are asked for a certificate, which backends get in the header `Client-Cert` (RFC 9440). `null`: they are not.",
      { engine: "wire", more: "See [client certificates](tls.md#client-certificates)." },
    ),
    redirectFrom: setting(
      listenPort.nullable(),
      null,
      "A port on which plain HTTP is answered with 308 to the same host and target over HTTPS. `null` for none.",
      { restart: true, more: "0 takes any free port. Both engines guard this port: see [timeouts](#timeouts)." },
    ),
  })
);

const proxyTls = z.codec(proxyTlsKeys, z.custom<ProxyTls>(), {
  decode({ cert, key, certificates, acme, selfSigned, ...rest }, context): ProxyTls {
    const ways = [cert ?? key, certificates, selfSigned].filter((way) => way !== undefined);
    const isOneWay = acme === null
      ? ways.length === 1
      : ways.length === 0 || ways.length === 1 && selfSigned === undefined;
    if (!isOneWay || (cert === undefined) !== (key === undefined)) {
      const message = `either "cert" and "key", or "certificates", or "acme", or "selfSigned"`;
      context.issues.push({ code: "custom", message, input: { cert, key, certificates, acme, selfSigned } });
      return z.NEVER;
    }
    const files = cert !== undefined && key !== undefined
      ? [{ place: [], cert, key }]
      : (certificates ?? []).map((pair, index) => ({ place: ["certificates", index], ...pair }));
    return { ...rest, files, acme, selfSigned: selfSigned ?? null };
  },
  encode({ files, acme, selfSigned, ...rest }) {
    const others = { acme, ...selfSigned === null ? {} : { selfSigned }, ...rest };
    const [first] = files;
    if (first === undefined) return others;
    if (first.place.length === 0) return { cert: first.cert, key: first.key, ...others };
    return { certificates: files.map(({ cert, key }) => ({ cert, key })), ...others };
  },
});

export const proxy = inUnits(z.strictObject({
  host: setting(
    listenHost,
    "0.0.0.0",
    "The host name or IP address that the proxy listens on, or a unix socket, such as `unix:/run/roundhouse.sock`.",
    {
      restart: true,
      more: "`::` listens for IPv4, too. At a socket, `proxy.port` has no meaning. See [unix sockets](#unix-sockets).",
    },
  ),
  port: setting(listenPort, 8080, "The port that the proxy listens on. 0 takes any free port.", {
    restart: true,
    more: "The `ready` log line names the port.",
  }),
  socketMode: setting(fileMode, "0660", "The permissions of the file of a unix socket: who may connect.", {
    restart: true,
    more: "Connecting takes the permission to write.",
  }),
  workers: setting(workers, 1, 'The number of isolates that serve the port. `"auto"` means one per core.', {
    restart: true,
    more: "See [more cores](#proxyworkers-more-cores).",
  }),
  maxBodySize: setting(
    sizeLimit(),
    "unlimited",
    "The largest request body. A larger one gets 413.",
  ),
  trustForwarded: setting(
    z.array(trustedPeer),
    [],
    "Addresses and CIDR ranges of the proxies in front. Their `X-Forwarded-…` headers are believed and appended to; " +
      "those of others are replaced.",
    {
      more:
        'An example is `"10.0.0.0/8"`. `"unix"` stands for clients of a [unix socket](#unix-sockets). From everyone else, `Forwarded`, `X-Real-IP`, `X-Original-URL`, ' +
        "`X-Rewrite-URL`, `Proxy`, `Client-Cert` and `Client-Cert-Chain` are dropped, too. None of these headers " +
        "passes, from anyone, when its name is spelled with `_` for `-`.",
    },
  ),
  compression: setting(flag, false, "Whether responses are compressed for clients that accept it.", {
    engine: "fetch",
    restart: true,
    more: "Left as they are: what a backend has compressed, partial content, responses with " +
      "`Cache-Control: no-transform`, pictures, films and archives. Compression drops the headers that hold for the " +
      "backend's bytes alone: digests, `Accept-Ranges` and the length. It makes `ETag` weak.",
  }),
  maxConnections: setting(
    whole(1, MAX_COUNT),
    10_000,
    "The most client connections at a time. More clients wait.",
    {
      engine: "wire",
      more: "To let another client in, the connection that has been idle for longest is closed. While none is idle, " +
        "clients wait in the kernel's accept queue, which holds 4,096.",
    },
  ),
  maxHeaderSize: setting(
    size(256, 16 * 1024 ** 2),
    "64KiB",
    "The largest head of a request or response. A larger request gets 431.",
    { engine: "wire", more: "So does a request with more than 128 headers. A larger response becomes 502." },
  ),
  proxyProtocol: setting(
    flag,
    false,
    "Whether each connection begins with a PROXY protocol header, which tells the client's address.",
    {
      engine: "wire",
      restart: true,
      more: "Versions 1 and 2 are understood. A connection without such a header is closed.",
    },
  ),
  tls: setting(
    proxyTls.nullable(),
    null,
    "HTTPS instead of HTTP: an object with `cert` and `key`, `certificates`, `acme` or `selfSigned`. `null` for plain HTTP.",
    { restart: "presence", more: "See [HTTPS](#proxytls-https-to-clients)." },
  ),
}));
