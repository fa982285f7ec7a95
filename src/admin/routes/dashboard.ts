/** The routes of the dashboard: a page and its files. They contain no data and need no token. */

import { digestOf } from "../../digest.ts";
import { type DashboardPath, PATHS } from "../dashboard/paths.ts";
import type { Description } from "../description.ts";
import type { AdminContext, Route } from "../guard.ts";

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const SECURITY = {
  // The page can load its own files and talk to its own server, and nothing else.
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

interface Served {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** `/` and `/dashboard/…`. */
export function dashboardRoutes(): readonly Route[] {
  return PATHS.map((path): Route => {
    let served: Served | undefined;
    const about: Description = {
      summary: path === "/" ? "The dashboard, a web page" : "A file of the dashboard",
      answers: [
        { status: 200, summary: "The file", contentType: contentTypeOf(path) },
        { status: 304, summary: "It is the one that the client has (`If-None-Match`)", contentType: null },
      ],
    };
    const answer = async (context: AdminContext) => send(context, served ??= await prepare(path));
    return { path, needsNoToken: true, methods: { GET: { about, answer } } };
  });
}

function contentTypeOf(path: string): string {
  const extension = path === "/" ? "html" : path.slice(path.lastIndexOf(".") + 1);
  return CONTENT_TYPES[extension] ?? "application/octet-stream";
}

async function prepare(path: DashboardPath): Promise<Served> {
  const { FILES } = await import("../dashboard/files.ts");
  const bytes = new TextEncoder().encode(FILES[path]);
  const etag = `"${new Uint8Array(digestOf(bytes).buffer).toBase64({ alphabet: "base64url" }).slice(0, 22)}"`;
  return {
    bytes,
    // `no-cache`: the browser keeps it but asks each time, because another version of roundhouse may run now.
    headers: {
      "content-type": contentTypeOf(path),
      "cache-control": "no-cache",
      etag,
      ...SECURITY,
    },
  };
}

function send({ req }: AdminContext, { bytes, headers }: Served): Response {
  const known = (req.header("if-none-match") ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known.includes(headers["etag"] ?? "") || known.includes("*")) return new Response(null, { status: 304, headers });
  return new Response(bytes, { headers: { ...headers, "content-length": String(bytes.length) } });
}
