/** The route that says which backend a request would get, and why. */

import ipaddr from "ipaddr.js";
import type { Explanation, SupposedRequest } from "../../balancing/explain.ts";
import type { Route } from "../guard.ts";
import { AdminError } from "../admin_error.ts";
import { answerJson } from "../view.ts";

/** What this route asks. */
export interface ExplainTarget {
  readonly explain: (request: SupposedRequest) => Explanation;
}

/** `/explain`. `method` is accepted for completeness; no strategy uses it. */
export function explainRoutes({ explain }: ExplainTarget): readonly Route[] {
  return [{
    path: "/explain",
    methods: {
      GET: {
        query: ["method", "path", "ip", "header", "cookie"],
        answer: (context) => answerJson(explain(supposedRequest(context.get("query")))),
      },
    },
  }];
}

function supposedRequest(query: Readonly<Record<string, string>>): SupposedRequest {
  const { path = "/", ip = "127.0.0.1", header, cookie } = query;
  if (!path.startsWith("/")) {
    throw new AdminError(400, `path: got ${JSON.stringify(path)}, want a path that begins with /`);
  }
  const headers: Record<string, string> = {};
  if (header !== undefined) {
    const colon = header.indexOf(":");
    if (colon < 1) throw new AdminError(400, `header: got ${JSON.stringify(header)}, want "Name: value"`);
    headers[header.slice(0, colon).trim().toLowerCase()] = header.slice(colon + 1).trim();
  }
  if (cookie !== undefined) headers["cookie"] = cookie;
  return { client: clientAddress(ip), target: path, headers };
}

/** An address in the form that requests have: normalised, and an IPv4-mapped IPv6 address as IPv4. */
function clientAddress(ip: string): string {
  return ipaddr.IPv6.isValid(ip) ? ipaddr.process(ip).toString() : ip;
}
