/** Answers from roundhouse itself, for `Deno.serve`. */

import type { OwnAnswer } from "../../proxy/exchange.ts";
import type { HeaderPair } from "../../proxy/message.ts";
import { isBodyless, statusFor } from "./answer.ts";

export function ownResponse({ status, headers, body }: OwnAnswer, method: string): Response {
  const said: HeaderPair[] = [...headers];
  if (isBodyless(status)) return new Response(null, { status: statusFor(status), headers: said });
  if (method !== "HEAD") return new Response(body, { status, headers: said });
  const bytes = typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
  said.push(["content-length", String(bytes)]); // otherwise the runtime would say 0
  return new Response(null, { status, headers: said });
}
